"""Runs programs of the system (apt, dpkg-deb, depmod, ...); none outlives its deadline or this
process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from vms.deadline import Deadline
from vms.errors import HostError
from vms.files import DISK_FULL
from vms.packages import remedy

# For sh(1), with the id of this process and the command: after this process died, its children have
# another parent.
_IF_OURS = '[ "$PPID" = "$0" ] && exec "$@"'
_POLL = 0.02
_END_SECONDS = 5
_SYNC_SECONDS = 300
_MOST_ERRORS = 64 << 10
_PADDING = 64 << 10
# An ordinary user's PATH on Debian lacks sbin, where depmod is.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin", "/sbin"])


class ToolFailed(HostError):
    """A program exited with an error. `output` is all it printed."""

    def __init__(self, command: Sequence[str], status: int, output: str, doing: str) -> None:
        self.output = output
        last = "\n".join(output.strip().splitlines()[-5:])
        super().__init__(
            f"{doing}: {Path(command[0]).name} ended with status {status}: {last or 'it printed nothing'}"
        )


def run(
    command: Sequence[str],
    deadline: Deadline,
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: IO[bytes] | None = None,
    enough: Callable[[], bool] | None = None,
) -> str:
    """Runs the program and returns what it prints, output and errors interleaved, in English.

    `deadline.what` names the purpose. As soon as `enough` returns True the program is ended and its
    output discarded. Raises HostError if the program is missing, exceeds the deadline or finds the
    disk full, ToolFailed if it fails.
    """
    process = _start(command, deadline, subprocess.STDOUT, environment, cwd, stdin)
    try:
        while enough and process.poll() is None and not deadline.expired:
            if enough():
                return ""
            time.sleep(_POLL)
        output, _ = process.communicate(timeout=deadline.remaining)
    except subprocess.TimeoutExpired:
        raise HostError(
            f"{deadline.what}: {Path(command[0]).name} did not finish within {deadline.seconds:g} s"
        ) from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            # Not read to its end: a helper that left the group may hold it open.
            assert process.stdout
            process.stdout.close()
            with contextlib.suppress(subprocess.TimeoutExpired):  # held by a disk that does not answer
                process.wait(_END_SECONDS)
    text = output.decode(errors="replace")
    if process.returncode != 0:
        if "No space left on device" in text or "Disk quota exceeded" in text:
            raise HostError(f"{deadline.what}: {DISK_FULL}")
        raise ToolFailed(command, process.returncode, text, deadline.what)
    return text


def require(program: str, what: str) -> None:
    """Raises HostError, which names the package, if the program is missing; `what` names the
    purpose.
    """
    if shutil.which(program, path=SEARCH_PATH) is None:
        raise HostError(f"{what}: the program {program} is missing on this host; {remedy()}")


def sync(path: Path) -> None:
    """Returns once the path, and what else its file system has to write, is on the disk.

    One call for many files: to sync each of a kernel's 2,500 files takes seconds, this 0.1 s.
    Raises HostError if the disk is full, fails, or is not done after five minutes.
    """
    run(["sync", "--file-system", str(path)], Deadline(_SYNC_SECONDS, f"{path} to be written to the disk"))


def tied(command: Sequence[str], flags: Sequence[str] = ()) -> list[str]:
    """The words that start a program which the kernel kills when the thread that started it ends,
    even by SIGKILL. `flags` are further ones of setpriv(1).

    setpriv asks the kernel for that once it runs itself. A program whose parent died before that is
    not started.
    """
    return ["setpriv", "--pdeathsig", "KILL", *flags, "--", "sh", "-c", _IF_OURS, str(os.getpid()), *command]


@contextlib.contextmanager
def output_of(command: Sequence[str], deadline: Deadline) -> Iterator[IO[bytes]]:
    """Runs the program and returns what it prints as a stream, which ends with the deadline
    whatever the program prints.

    Once the caller has read to the end, raises HostError if the program is missing or exceeded the
    deadline, ToolFailed if it failed. A caller that raises or stops reading ends the program.
    """
    with tempfile.TemporaryFile() as errors:
        process = _start(command, deadline, errors)
        assert process.stdout
        watch = threading.Timer(deadline.remaining, _kill, [process])
        watch.start()
        try:
            yield process.stdout
            # A tar stream ends before the padding that follows it.
            ended = len(process.stdout.read(_PADDING)) < _PADDING
            process.stdout.close()
            status = process.wait(timeout=max(1.0, deadline.remaining))
        finally:
            watch.cancel()
            _kill(process)
            process.stdout.close()
            process.wait()
        deadline.check()
        if status and ended:
            errors.seek(0)
            raise ToolFailed(
                command, status, errors.read(_MOST_ERRORS).decode(errors="replace"), deadline.what
            )


def _start(
    command: Sequence[str],
    deadline: Deadline,
    errors: int | IO[bytes],
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    require(command[0], deadline.what)
    # Its own session ends its helpers too.
    return subprocess.Popen(
        tied(command),
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", **(environment or {})},
        cwd=cwd,
        start_new_session=True,
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
