"""Ends all that is under way, at once: for Ctrl-C, SIGTERM and SIGHUP.

Threads cannot be interrupted, but all they ever wait for is a deadline or a child process. So every
deadline expires and every child is killed; the threads see that, clean up behind them as after any
failure, and end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

_interrupted = threading.Event()


def interrupt() -> None:
    """Expires every deadline, those made later as well, and kills every child process with its
    process group.
    """
    _interrupted.set()
    for listing in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that ended meanwhile
            for pid in map(int, listing.read_text().split()):
                _kill(pid)


def interrupted() -> bool:
    """Whether `interrupt` was called."""
    return _interrupted.is_set()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # A tool leads a group of its own, with helpers in it.
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
