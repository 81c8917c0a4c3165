"""The recipe of the container, up to where it needs Debian's packages."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.project import ROOT

SECONDS = 300


def container(*words: object, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "ci" / "container", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env={**os.environ, "PATH": path},
    )


@pytest.mark.parametrize("words", [(), ("none.whl",), ("none.whl", "image.tar"), (ROOT / "invoke", "a", "b")])
def test_without_a_wheel_and_a_file_it_says_what_to_give(words: tuple[object, ...]) -> None:
    done = container(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("container: give a wheel, which `python -m build` makes in dist/")


def test_a_program_that_is_missing_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    for name in ("bash", "readlink", "dirname", "mmdebstrap"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    done = container(ROOT / "invoke", tmp_path / "image.tar", path=str(tmp_path))
    assert done.returncode == 3
    assert done.stderr == (
        "container: umoci is missing; as root, run:"
        " apt-get install --no-install-recommends mmdebstrap umoci python3-venv\n"
    )
