"""Private directories for what lives only as long as a guest (its sockets, its console log) or the
build of the guests' image.
"""

from __future__ import annotations

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
_LONGEST_SOCKET_PATH = 107  # sun_path less its final NUL: unix(7)


def remove_tree(path: Path) -> None:
    """Removes a directory with all that this user may remove in it; never follows a link."""
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def private_directory(kind: str = "", remove: Callable[[Path], None] = remove_tree) -> Iterator[Path]:
    """An empty directory with an unforeseeable name that only this user can enter, removed at the
    end.

    Its process holds it locked, so the next one can tell which directories of this `kind` were left
    by a process that was killed, and removes those. Raises HostError where none can be made.
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
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():  # else another process swept it away before it was locked
            return path, descriptor
        os.close(descriptor)


@functools.cache
def sweep(base: Path, kind: str, remove: Callable[[Path], None]) -> None:
    """Removes, once per process, directories of this kind in `base` whose processes are gone."""
    for left in base.glob(f"{_PREFIX}{kind}????????"):
        try:
            descriptor = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
        except OSError:
            continue  # another user's, a link, or gone
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid == os.getuid():
                remove(left)
        except BlockingIOError:
            pass  # a running process'
        finally:
            os.close(descriptor)
