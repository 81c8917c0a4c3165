"""Writes files whole or not at all, and reports a full or read-only disk in one way.

A file is synced before it gets its name, and its directory afterwards: without that, a power cut
can leave the new name with no content, or the old file. That takes milliseconds, and only a few
files of a run are written like this.

The mode is 0644, whatever the caller's umask: reports, locks and verdicts are no secrets, and a web
server or another user's run reads them. (A temporary file would keep them at 0600.)
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from vms.deadline import Deadline
from vms.errors import HostError
from vms.program import COMMAND

DISK_FULL = f"no space left on the disk; free some, for example with `{COMMAND} prune`"
"""What the user reads when a disk is full, after what was being done."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TICK = 0.01
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def write_whole(path: Path, content: bytes) -> None:
    """Creates or replaces the file, and the directories above it, so that readers see the old
    content or the new one.

    Raises HostError when the disk is full or the place cannot be written.
    """
    with disk_errors(f"writing {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Named before it is there, so that an interrupt at any moment removes it.
        unfinished = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            with unfinished.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.chmod(0o644)
            unfinished.replace(path)
            sync_directory(path.parent)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def sync_directory(path: Path) -> None:
    """Returns once the names in the directory are on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock_directory(path: Path) -> int | None:
    """Locks the directory, which must exist, until the descriptor that is returned is closed; None
    if another process holds the lock.
    """
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


@contextlib.contextmanager
def alone_in(directory: Path, deadline: Deadline, late: str) -> Iterator[None]:
    """Locks the directory during the `with`, and waits until other processes are done with it.
    Raises HostError with the message `late` at the deadline.
    """
    while (lock := lock_directory(directory)) is None:
        if deadline.expired:
            raise HostError(late)
        time.sleep(_TICK)
    try:
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Raises HostError where the disk is full or refuses to be written; other errors pass.

    `doing` begins the message and says what is written where: `writing /srv/run/report.md`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise HostError(f"{doing}: {DISK_FULL}") from error
        if error.errno in _REFUSED:
            place = f"{error.filename}: " if error.filename else ""
            raise HostError(
                f"{doing}: {place}{error.strerror}; make it writable for this user, then run again"
            ) from error
        raise
