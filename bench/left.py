"""What a process of this project has at a moment: to see what is left behind."""

from __future__ import annotations

import fcntl
import gc
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from vms.capacity import children, resident

_SETTLE = 0.5  # seconds; an executor's threads end a moment after it was closed
_LISTEN = "0A"


@dataclass(frozen=True)
class Left:
    """What this process has: child processes, threads, open files, TCP ports that it listens on,
    bytes of memory.

    `directories` are private directories of guests that no process holds any more.
    """

    children: int
    threads: int
    files: int
    ports: int
    directories: int
    memory: int


def left() -> Left:
    """Counts what there is now."""
    time.sleep(_SETTLE)
    gc.collect()
    links = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return Left(
        len(children()),
        threading.active_count(),
        len(links),
        sum(f"socket:[{inode}]" in links for inode in _listening()),
        sum(_abandoned(path) for path in Path(tempfile.gettempdir()).glob("conntrack-matrix-????????")),
        resident(os.getpid()),
    )


def _listening() -> list[str]:
    """The inodes of TCP sockets that listen."""
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return [row[9] for row in rows if row[3] == _LISTEN]


def _abandoned(directory: Path) -> bool:
    """Whether no process holds the directory's lock."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # gone meanwhile
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
