"""Ends everything this process does, within a second: for Ctrl-C, SIGTERM and SIGHUP.

Threads cannot be interrupted, but they only ever wait for a deadline or a child process. So every
deadline expires and every child is killed; the threads notice, clean up as after any failure, and
end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

_interrupted = threading.Event()


def interrupt() -> None:
    """Expires all deadlines, present and future, and kills every child process with its process
    group.
    """
    _interrupted.set()
    for listing in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread ended in between
            for pid in map(int, listing.read_text().split()):
                _kill(pid)


def interrupted() -> bool:
    """Whether `interrupt` was called."""
    return _interrupted.is_set()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # A tool leads its own process group, which includes its helpers.
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
