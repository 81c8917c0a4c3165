"""`./invoke` before Python: it waits for nobody in silence or for ever."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.project import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that is prepared, whose Python says `ran`."""
    for name in ("invoke", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "debian-packages.txt").touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho ran\n")
    python.chmod(0o755)
    stamp = "cat requirements.lock <(/usr/bin/python3 --version) | sha256sum >.venv/stamp"
    subprocess.run(["bash", "-c", stamp], cwd=tmp_path, check=True)
    return tmp_path


def start(checkout: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [checkout / "invoke", "--list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_prepared_checkout_runs_the_task_without_a_word(checkout: Path) -> None:
    assert start(checkout).communicate(timeout=60) == ("ran\n", "")


def test_a_shell_that_completes_gets_an_answer_at_once_or_none(checkout: Path) -> None:
    (checkout / "debian-packages.txt").write_text("not-installed - nothing is installed for a press of Tab\n")
    (checkout / ".venv" / "stamp").unlink()
    asked = [str(checkout / "invoke"), "--complete", "mat"]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "ran\n"
    shutil.rmtree(checkout / ".venv")
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.fault(phase="start", fault="two at once", outcome="the second says that it waits, and goes on")
def test_another_invoke_is_waited_for_with_a_word(checkout: Path) -> None:
    holder = os.open(checkout / "invoke", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with start(checkout) as process:
        assert process.stderr
        assert "waiting for another ./invoke" in process.stderr.readline()
        os.close(holder)
        assert process.communicate(timeout=60)[0] == "ran\n"


@pytest.mark.fault(phase="start", fault="lock held for ever", outcome="an error at the deadline")
def test_a_lock_that_is_held_for_ever_is_an_error(checkout: Path) -> None:
    script = (checkout / "invoke").read_text()
    assert "patience=1800" in script
    (checkout / "invoke").write_text(script.replace("patience=1800", "patience=1"))
    with (checkout / "invoke").open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with start(checkout) as process:
            _, said = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "another process has held" in said
