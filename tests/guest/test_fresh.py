"""What the README says, in an empty Debian: a part of it, with everything fetched anew."""

from __future__ import annotations

import pytest

from matrix.fresh import chosen_commands, readme_commands, run_fresh
from tests.support.project import CONFIG, ROOT

pytestmark = pytest.mark.guest


def test_the_readmes_first_command_works_in_an_empty_debian() -> None:
    (command,) = chosen_commands(
        readme_commands((ROOT / "README.md").read_text()),
        "matrix",
        ("-k", "6.12", "-e", "baseline", "--accel", "tcg"),
    )
    # What browsers and gpg need, and a chroot has not; and nothing of this machine's files.
    namespace, alone = "unshare --user --map-root-user --mount true", "test -z $(ls -A /mnt)"
    lines: list[str] = []
    done = run_fresh(ROOT, "trixie", [namespace, alone, command], CONFIG.debian, lines.append)
    assert [one.code for one in done.done] == [0, 0, 0], "\n".join(lines[-50:])
    assert done.versions[0].startswith("Python 3.13")
    assert done.versions[1].startswith("QEMU emulator version 10")
    assert [line for line in lines if line.startswith("/root/conntrack-matrix/results/")]
