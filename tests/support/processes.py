"""What /proc tells of processes that change meanwhile."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

_SECONDS = 120


def ended(pid: int) -> bool:
    """Whether the process has ended; who should wait for it may not have done so yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # it may end between opening and reading
        return True


def gone(pid: int) -> bool:
    """Whether the process ends within two minutes."""
    return happens(lambda: ended(pid))


def happens(condition: Callable[[], object]) -> bool:
    """Whether the condition comes true within two minutes."""
    end = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def children(pid: int) -> list[int]:
    """The processes that this one started and has not waited for."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended since
            found += map(int, file.read_text().split())
    return found


def socket_inodes(pid: int) -> set[str]:
    """The inodes of the sockets that the process has open, as /proc/net names them."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed since it was listed
            if match := re.fullmatch(r"socket:\[(\d+)\]", str(path.readlink())):
                found.add(match[1])
    return found
