from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from vms import runtime
from vms.errors import HostError
from vms.runtime import private_directory


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Short, so that sockets fit.
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    runtime.sweep.cache_clear()
    return directory


def test_only_the_user_may_enter_a_private_directory_which_is_removed_afterwards() -> None:
    with private_directory() as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "file").touch()
    assert not directory.exists()


def test_a_private_directory_is_removed_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), private_directory() as directory:
        raise ZeroDivisionError
    assert not directory.exists()


@pytest.mark.fault(phase="cell", fault="two at once", outcome="nobody is waited for")
def test_a_directory_that_another_process_sweeps_before_it_is_locked_is_replaced_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweepers: list[int] = []
    flock = fcntl.flock

    def sweep_first(handle: int, how: int) -> None:
        if not sweepers:
            sweepers.append(os.open(f"/proc/self/fd/{handle}", os.O_RDONLY))
            flock(sweepers[0], fcntl.LOCK_EX)
        flock(handle, how)

    with private_directory():  # whose first use sweeps
        monkeypatch.setattr(fcntl, "flock", sweep_first)
        with private_directory() as directory:
            assert not os.path.samestat(directory.stat(), os.fstat(sweepers[0]))
    os.close(sweepers[0])


@pytest.mark.fault(phase="cell", fault="two at once", outcome="nobody is waited for")
def test_a_directory_that_is_swept_before_it_is_opened_is_replaced_by_another(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    mkdtemp = tempfile.mkdtemp

    def swept(prefix: str, dir: Path) -> str:  # noqa: A002 (as tempfile calls it)
        made.append(mkdtemp(prefix=prefix, dir=dir))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    with private_directory() as directory:
        assert str(directory) == made[1]


@pytest.mark.fault(
    phase="cell", fault="tool killed", outcome="the next guest removes its sockets and directories"
)
def test_directories_of_killed_processes_are_removed_and_those_of_living_ones_kept(base: Path) -> None:
    code = f"""
import tempfile, time
tempfile.tempdir = {str(base)!r}
from vms.runtime import private_directory
with private_directory() as directory:
    (directory / "file").touch()
    print(directory, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        theirs = Path(other.stdout.readline().strip())
        with private_directory() as ours:
            assert theirs.exists()
        runtime.sweep.cache_clear()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert theirs.exists()
        with private_directory() as ours:
            assert not theirs.exists()
            assert ours.exists()


def test_socket_paths_fit_even_where_the_temporary_directory_is_deep(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = base / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with private_directory() as directory:
        assert len(str(directory / "agent")) <= 107


def test_an_error_says_where_a_private_directory_cannot_be_made(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(base / "gone"))
    with (
        pytest.raises(HostError, match=r"cannot make a private directory in .*/gone: No such file"),
        private_directory(),
    ):
        pass
