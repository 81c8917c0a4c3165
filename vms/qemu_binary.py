"""The QEMU of this host: which program it is, and whether it will do."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vms.errors import HostError
from vms.packages import remedy

BINARY = "qemu-system-x86_64"
OLDEST = (7, 2)  # the oldest version tested; x-ignore-shared came with 4.0
_UNUSED_DEVICES = ("sata", "usb", "smbus", "vmport", "i8042")
_PRINT_SECONDS = 20


@dataclass(frozen=True)
class Binary:
    """The QEMU of this host. `identity` changes whenever the program could have changed; `left_out`
    has the options that remove devices which no guest uses from its machine.
    """

    path: str
    version: str
    identity: str
    left_out: tuple[str, ...] = ()


def find_qemu() -> Binary:
    """The QEMU on the PATH, the same one for the life of this process.

    Raises HostError if there is none, it does not run, is too old, or was replaced since the first
    call: another QEMU must not load what one QEMU saved, and a run reports one QEMU.
    """
    found, stamp = first_found()
    if _stamp(found.path) != stamp:
        raise HostError(
            f"{found.path} was upgraded during the run (was QEMU {found.version}); start the run again"
        )
    return found


@functools.cache
def first_found() -> tuple[Binary, tuple[int, ...]]:
    """The QEMU that the first call in this process found, and a stamp of its file."""
    path = shutil.which(BINARY)
    if path is None or not (stamp := _stamp(path)):
        raise HostError(f"{BINARY} is not on the PATH; {remedy()}")
    done = _printed([path, "--version"])
    match = re.search(r"version ((\d+)\.(\d+)[^\n]*)", done.stdout)
    if done.returncode != 0 or not match:
        said = (done.stderr or done.stdout).strip()[-500:] or "it printed nothing"
        raise HostError(f"{path} --version ended with status {done.returncode}: {said}")
    if (int(match[2]), int(match[3])) < OLDEST:
        raise HostError(f"{path} is QEMU {match[1]}; at least {'.'.join(map(str, OLDEST))} is needed")
    size, modified, *_ = stamp
    return Binary(path, match[1], f"{match[1]} {size} {modified}", _left_out(path)), stamp


def _left_out(path: str) -> tuple[str, ...]:
    """Asked, not known by version: an option that a QEMU does not have ends it."""
    known = re.findall(r"^ *([\w-]+)=", _printed([path, "-machine", "q35,help"]).stdout, re.MULTILINE)
    return tuple(f"{device}=off" for device in _UNUSED_DEVICES if device in known)


def _printed(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PRINT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"{' '.join(command)}: {error}; is the QEMU installation complete?") from error


def _stamp(path: str) -> tuple[int, ...]:
    """A stamp that changes when the file is replaced or written to; empty if it does not exist."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino
