"""Private directories for a guest (its sockets, its console log) and for the build of the guests'
image.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vms.errors import HostError

_PREFIX = "conntrack-matrix-"
_LONGEST_SOCKET_PATH = 107  # sun_path without its final NUL: unix(7)


def remove_tree(path: Path) -> None:
    """Removes a directory with everything in it that this user may remove; never follows a link."""
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def private_directory(kind: str = "", remove: Callable[[Path], None] = remove_tree) -> Iterator[Path]:
    """Yields an empty directory with an unforeseeable name that only this user can enter, and
    removes it at the end.

    This process holds a lock on it. Without that lock, another process knows that a directory of
    this `kind` was left by a process that was killed, and removes it. Raises HostError if none can
    be made.
    """
    base = _base()
    sweep(base, kind, remove)
    try:
        path, lock = _locked_directory(base, kind)
    except OSError as error:
        raise HostError(f"cannot make a private directory in {base}: {error.strerror}") from error
    try:
        yield path
    finally:
        remove(path)
        os.close(lock)


def _base() -> Path:
    base = Path(tempfile.gettempdir())
    longest = base / f"{_PREFIX}12345678" / "agent"
    return base if len(os.fsencode(longest)) <= _LONGEST_SOCKET_PATH else Path("/tmp")


def _locked_directory(base: Path, kind: str) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX + kind, dir=base))
        # Before it is locked a process that sweeps may take it for a left-over, and remove it.
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        except OSError:  # too many open files
            path.rmdir()
            raise
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():
                return path, descriptor
        os.close(descriptor)


@functools.cache
def sweep(base: Path, kind: str, remove: Callable[[Path], None]) -> None:
    """Removes, once per process, the directories of this kind in `base` whose processes are
    gone.
    """
    for left in base.glob(f"{_PREFIX}{kind}????????"):
        try:
            descriptor = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
        except OSError:
            continue  # another user's, a link, or removed in between
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid == os.getuid():
                remove(left)
        except BlockingIOError:
            pass  # of a running process
        finally:
            os.close(descriptor)
