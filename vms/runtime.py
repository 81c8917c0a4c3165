"""Private directories for what lives only as long as a guest: its sockets, its console log."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

_PREFIX = "conntrack-matrix-"
_LONGEST_SOCKET_PATH = 107  # sun_path less its final NUL: unix(7)
_lock = Lock()
_roots: dict[int, Path] = {}  # by process: a fork makes its own


@contextmanager
def private_directory() -> Iterator[Path]:
    """An empty directory that only this user can enter, removed at the end.

    It lies in one directory per process that its process holds locked, so that the next run can tell what a killed one left and removes it.
    """
    path = Path(tempfile.mkdtemp(prefix="", dir=_root()))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _root() -> Path:
    with _lock:
        if os.getpid() not in _roots:
            base = _base()
            _sweep(base)
            root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            # Held until this process ends, however it ends.
            fcntl.flock(os.open(root, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX)
            _roots[os.getpid()] = root
            atexit.register(_remove, os.getpid(), root)
        return _roots[os.getpid()]


def _base() -> Path:
    base = Path(tempfile.gettempdir())
    longest = base / f"{_PREFIX}12345678" / "12345678" / "agent"
    return base if len(os.fsencode(longest)) <= _LONGEST_SOCKET_PATH else Path("/tmp")


def _sweep(base: Path) -> None:
    for left in base.glob(f"{_PREFIX}????????"):
        try:
            descriptor = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
        except OSError:
            continue  # another user's, or gone
        try:
            if os.fstat(descriptor).st_uid != os.getuid():
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            pass  # a running process'
        finally:
            os.close(descriptor)


def _remove(process: int, root: Path) -> None:
    if os.getpid() == process:
        shutil.rmtree(root, ignore_errors=True)
