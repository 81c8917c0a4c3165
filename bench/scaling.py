"""How many cells a second: one, two and four guests at a time on this machine, and one and two Dask
workers with a guest each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figure import Figure
from bench.guests import MACHINES, ROOT, cells_of, kernels, make_templates, seconds_of
from matrix.dask.executor import connected
from matrix.dask.site import WorkerMachines
from matrix.plan.plan import Plan
from vms.capacity import processors
from vms.errors import HostError

KERNEL = "6.12"
CELLS = 32
GUESTS = (1, 2, 4)
WORKERS = (1, 2)


def measure() -> list[Figure]:
    """Runs the same plan of cells that do nothing each time; the kernel was booted before."""
    of = kernels(KERNEL)
    make_templates(of, 1)
    plan = cells_of(of, CELLS)
    local = {number: CELLS / seconds_of(plan, MACHINES, number) for number in GUESTS}
    far = {number: cells_per_second(plan, number) for number in WORKERS}
    return [
        *(_rate("guests", number, rate, local[1]) for number, rate in local.items()),
        *(_rate("workers", number, rate, local[1]) for number, rate in far.items()),
    ]


def _rate(what: str, number: int, rate: float, one: float) -> Figure:
    ideal = one * min(number, processors())
    who = (
        f"{number} guest{'s' * (number > 1)} at a time"
        if what == "guests"
        else f"{number} Dask worker{'s' * (number > 1)}, a guest each"
    )
    meaning = (
        f"{who}: {rate / ideal:.0%} of ideal ({ideal:.2f}: one guest's rate times the processors they can"
        " use)"
    )
    return Figure(f"{what}_{number}", rate, "cells/s", meaning)


def cells_per_second(plan: Plan, number: int) -> float:
    """With so many workers on loopback. The first run, in which they get ready, is not counted."""
    source = WorkerMachines.of(MACHINES)
    with site(number) as address, connected(address, source, lambda: MACHINES.image) as workers:
        seconds_of(cells_of(plan.kernels, number * 4), workers, number)
        return len(plan.cells) / seconds_of(plan, workers, number)


@contextmanager
def site(number: int) -> Iterator[str]:
    """A scheduler and its workers on loopback; gives its address."""
    started = []
    try:
        scheduler, said = _start("serve_scheduler('127.0.0.1', 0, say)")
        started.append(scheduler)
        address = said.split()[-1]
        for _ in range(number):
            worker, _ = _start(f"serve_worker({address!r}, 1, say)")
            started.append(worker)
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def _start(call: str) -> tuple[subprocess.Popen[str], str]:
    program = f"from matrix.dask.serve import *; say = lambda text: print(text, flush=True); {call}"
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout
    said = process.stdout.readline()
    if not said:
        raise HostError(f"{call} did not start")
    return process, said
