"""Runs the system's own programs (apt, dpkg-deb, depmod, ...) so that none outlives its deadline or
us.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vms.deadline import Deadline
from vms.errors import HostError
from vms.files import DISK_FULL

_POLL = 0.02
# An ordinary user's PATH on Debian has no sbin, where depmod lives.
_PATH = os.pathsep.join([os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin", "/sbin"])


class ToolFailed(HostError):
    """A program ended with an error. `output` is all it said."""

    def __init__(self, command: Sequence[str], status: int, output: str, doing: str) -> None:
        self.output = output
        last = "\n".join(output.strip().splitlines()[-5:])
        super().__init__(
            f"{doing}: {Path(command[0]).name} ended with status {status}: {last or 'it said nothing'}"
        )


def run(
    command: Sequence[str],
    deadline: Deadline,
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    enough: Callable[[], bool] | None = None,
) -> str:
    """What the program prints, output and errors interleaved; its messages are in English.

    `deadline.what` says what it is run for. As soon as `enough` says so it is ended, and what it
    printed is not told. Raises HostError if it is missing, not done in time or out of disk space,
    ToolFailed if it fails.
    """
    if shutil.which(command[0], path=_PATH) is None:
        raise HostError(
            f"{deadline.what}: the program {command[0]} is missing on this host; `./invoke` installs what is"
            " needed"
        )
    # It dies with us even if we are killed; the session of its own makes its helpers die with it.
    tied = ["setpriv", "--pdeathsig", "KILL", "--", *command]
    process = subprocess.Popen(
        tied,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": _PATH, "LC_ALL": "C.UTF-8", **(environment or {})},
        cwd=cwd,
        start_new_session=True,
    )
    try:
        while enough and process.poll() is None and not deadline.expired:
            if enough():
                return ""
            time.sleep(_POLL)
        output, _ = process.communicate(timeout=deadline.remaining)
    except subprocess.TimeoutExpired:
        raise HostError(
            f"{deadline.what}: {Path(command[0]).name} was not done after {deadline.seconds:g} s"
        ) from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    text = output.decode(errors="replace")
    if process.returncode != 0:
        if "No space left on device" in text or "Disk quota exceeded" in text:
            raise HostError(f"{deadline.what}: {DISK_FULL}")
        raise ToolFailed(command, process.returncode, text, deadline.what)
    return text
