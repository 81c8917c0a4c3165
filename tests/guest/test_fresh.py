"""What the README says, in an empty Debian: a part of it, with everything fetched anew; and what
remains of the Debian when it is ended.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.fresh import chosen_commands, readme_commands, run_fresh
from tests.support.processes import happens
from tests.support.project import CONFIG, ROOT

pytestmark = pytest.mark.guest

_TASK = """
import sys
from commands.__main__ import main
from matrix import fresh
fresh.readme_commands = lambda readme: (sys.argv[1],)
main(["fresh"])
"""
_NEXT = """
from vms.mmdebstrap import workplace
with workplace("fresh-", "the next run"):
    pass
"""
# Two processes with that name, one of them in a session of its own, that only SIGKILL ends.
_DEAF = """\
trap '' HUP INT TERM
setsid bash -c 'exec -a {name} sleep 3600' &
echo ready
exec -a {name} sleep 3600
"""


def test_the_readmes_first_command_works_in_an_empty_debian(tmp_path: Path) -> None:
    (command,) = chosen_commands(
        readme_commands((ROOT / "README.md").read_text()),
        "matrix",
        ("-k", "6.12", "-e", "baseline", "--accel", "tcg"),
    )
    # What browsers and gpg need, and a chroot has not; and nothing of this machine's files.
    namespace, alone = "unshare --user --map-root-user --mount true", f"test ! -e {tmp_path}"
    lines: list[str] = []
    done = run_fresh(ROOT, "trixie", [namespace, alone, command], CONFIG.debian, lines.append)
    assert [one.code for one in done.done] == [0, 0, 0], "\n".join(lines[-50:])
    assert done.versions[0].startswith("Python 3.13")
    assert done.versions[1].startswith("QEMU emulator version 10")
    assert [line for line in lines if line.startswith("/root/conntrack-matrix/results/")]


@pytest.fixture
def place() -> Iterator[Path]:
    """A TMPDIR that the user may enter as whom mmdebstrap works."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o711)
        yield path


def called(name: str) -> list[int]:
    """The processes that go by this name, seen from outside of their namespaces."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if file.read_bytes().startswith(f"{name}\0".encode()):
                found.append(int(file.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended since
    return found


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "interrupted; removing the Debian\nthe Debian is removed\n"),
        (signal.SIGKILL, -signal.SIGKILL, ""),
    ],
)
def test_what_runs_in_the_debian_ends_with_us_and_nothing_is_mounted(
    place: Path, number: signal.Signals, code: int, said: str
) -> None:
    name = secrets.token_hex(16)
    environment = {**os.environ, "TMPDIR": str(place)}
    with subprocess.Popen(
        [sys.executable, "-c", _TASK, f"bash -c {shlex.quote(_DEAF.format(name=name))}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            shown: list[str] = []
            while shown[-1:] not in ([""], ["ready\n"]):
                shown.append(process.stdout.readline())
            assert shown[-1] == "ready\n", shown
            assert happens(lambda: len(called(name)) == 2)
            process.send_signal(number)
            _, errors = process.communicate(timeout=300)
        finally:
            process.kill()
    assert (process.returncode, errors) == (code, said)
    assert happens(lambda: not called(name))
    assert str(place) not in Path("/proc/self/mounts").read_text()
    # mmdebstrap removes the Debian also when we are killed, and the next of us what we had there.
    if number == signal.SIGKILL:
        assert happens(lambda: not list(place.glob("*/mmdebstrap.*/etc")))
        subprocess.run([sys.executable, "-c", _NEXT], cwd=ROOT, env=environment, check=True, timeout=300)
    assert not list(place.iterdir())
