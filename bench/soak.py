"""A thousand cells in a row on two kernels: does anything fail, differ, or stay behind?"""

from __future__ import annotations

import fcntl
import gc
import os
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.figure import Figure
from bench.guests import MACHINES, experiment, kernels, make_templates, run
from matrix.plan.plan import make_plan
from matrix.results.record import Record, Status
from vms.capacity import children, processors, resident

KERNELS = ("5.10", "7.3")
EXPERIMENTS = ("baseline", "table-full")
CELLS = 1000
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


def measure() -> list[Figure]:
    """Runs the same cells round after round, each round a run of its own.

    The first is not counted: libraries are loaded in it.
    """
    of = kernels(*KERNELS)
    make_templates(of, 1)
    plan = make_plan(of, [experiment(name) for name in EXPERIMENTS])
    first = {record_key(record): record.facts for record in run(plan, MACHINES, processors())[1]}
    before = left()
    statuses: Counter[Status] = Counter()
    differing = again = halfway = 0
    began = time.perf_counter()
    while statuses.total() < CELLS:
        for record in run(plan, MACHINES, processors())[1]:
            statuses[record.status] += 1
            differing += record.facts != first[record_key(record)]
            again += record.attempts > 1
        if not halfway and statuses.total() >= CELLS / 2:
            halfway = left().memory
    cells = statuses.total()
    each = (time.perf_counter() - began) / cells
    after = left()
    what = f"{cells:,} cells on {' and '.join(kernel.name for kernel in of)}"
    return [
        Figure("cells", cells, "cells", f"asked, {processors()} at a time"),
        Figure("cell_seconds", each, "s", f"a cell of {', '.join(EXPERIMENTS)}, {processors()} at a time"),
        Figure("failed", cells - statuses[Status.PASS], "cells", f"of {what} did not pass", goal="0"),
        Figure(
            "differing",
            differing,
            "cells",
            f"of {what} gave other facts than the first of their kind",
            goal="0",
        ),
        Figure("again", again, "cells", f"of {what} lost a guest and were asked again", goal="0"),
        *(
            _grown(name, getattr(before, name), getattr(after, name), what)
            for name in ("children", "threads", "files", "ports", "directories")
        ),
        Figure(
            "memory",
            (after.memory - before.memory) / 1e6,
            "MB",
            f"more after {what}: {before.memory / 1e6:.1f} before, {halfway / 1e6:.1f} half way,"
            f" {after.memory / 1e6:.1f} after",
            goal="about 0",
        ),
    ]


def _grown(name: str, before: int, after: int, what: str) -> Figure:
    return Figure(
        name, after - before, "more", f"{name} after {what}: {before} before, {after} after", goal="0"
    )


def record_key(record: Record) -> tuple[str, ...]:
    """Names a record's cell."""
    return record.kernel, record.experiment, *record.variant.values()


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
