"""How many guests this machine can run: the processors this process may use, and the memory that is
free for another guest now.

Both are less than the machine's if a control group limits them, as in a container: cgroups(7),
Documentation/admin-guide/cgroup-v2.rst in the kernel's source.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")

GUEST = 704 << 20
"""Bytes that a guest may take: 512 MiB of memory, 128 MiB of translated code, QEMU's own 64 MiB."""


def processors() -> int:
    """How many guests can compute at the same time: the processors this process may run on, or
    fewer if its CPU time is limited.
    """
    usable = len(os.sched_getaffinity(0))
    for group in _groups():
        words = _read(group / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            usable = min(usable, max(1, round(int(words[0]) / int(words[1]))))
    return usable


def guests() -> int:
    """How many guests can run at the same time: as many as can compute, fewer if memory is short,
    at least one.
    """
    return max(1, min(processors(), free_memory() // GUEST))


def free_memory() -> int:
    """Bytes of memory that are available without swapping or dropping caches in use."""
    fields = dict(line.split(":", 1) for line in (PROC / "meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024
    for group in _groups():
        limit = _read(group / "memory.max").strip()
        if limit not in ("", "max"):
            statistics = dict(line.split() for line in _read(group / "memory.stat").splitlines())
            used = int(_read(group / "memory.current") or 0) - int(statistics.get("inactive_file", 0))
            free = min(free, max(0, int(limit) - used))
    return free


def resident(pid: int) -> int:
    """Bytes of memory that a process does not share with a file; a clone shares what it has not
    changed with its template.

    0 once the process has ended.
    """
    for line in _read(PROC / str(pid) / "status").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def starved(pid: int) -> float:
    """Seconds for which threads of a process were ready to run and waited for a processor, added
    up: where one processor of a guest waits for what another does, it loses the time of both.

    0 once the process has ended, and on a host whose kernel does not count it.
    """
    waits = (_read(path).split() for path in (PROC / str(pid) / "task").glob("*/schedstat"))
    return sum(int(words[1]) for words in waits if len(words) == 3) / 1e9


def children() -> list[int]:
    """The ids of the processes that this process has started and not yet waited for."""
    return [int(pid) for thread in (PROC / "self/task").glob("*/children") for pid in _read(thread).split()]


def _groups() -> Iterator[Path]:
    """The control group of this process and those above it; none without the unified hierarchy."""
    for line in _read(PROC / "self" / "cgroup").splitlines():
        if line.startswith("0::"):
            group = CGROUPS / line[3:].lstrip("/")
            yield from (group, *(parent for parent in group.parents if parent.is_relative_to(CGROUPS)))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
