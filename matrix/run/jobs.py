"""The jobs of a run, and the order in which they get a guest."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from matrix.plan.plan import Cell
from matrix.results.judge import Judged
from matrix.run.progress import KernelProgress, Phase
from vms.kernels.kernel import Kernel


@dataclass
class KernelState:
    """One kernel of a run: the cells that are still to be run, and what has happened so far.

    `attempts` counts fetches, boots by number of CPUs, and cells by key; `crashes` has the first
    crash of each cell that is run again because of it.
    """

    kernel: Kernel
    progress: KernelProgress
    cells: list[Cell]
    attempts: Counter[Any] = field(default_factory=Counter)
    crashes: dict[Any, Judged] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A job for an executor: the kernel it belongs to, its phase, and `then`, called when it ends.

    `seconds` is how long it will likely take. `waits` marks a job whose guest only waits.
    """

    state: KernelState
    phase: Phase
    then: Callable[[Future[Any]], None]
    run: Callable[..., Any]
    arguments: tuple[Any, ...]
    seconds: float = 0.0
    waits: bool = False


class Room(Protocol):
    """Says whether another guest may start: `Executor.room`."""

    def __call__(self, computing: int, waiting: int, /, *, waits: bool) -> bool:
        """`computing` and `waiting` guests run; `waits` tells which kind the new one would be."""


class Ready:
    """Jobs that are ready to get a guest, and how many of the jobs taken from here still run.

    `computing` and `waiting` count those that run, by whether their guests compute or only wait.
    """

    def __init__(self) -> None:
        self.computing = 0
        self.waiting = 0
        self._to_compute: list[tuple[float, int, Job]] = []
        self._to_wait: list[tuple[float, int, Job]] = []
        self._pushed = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._to_compute or self._to_wait)

    def push(self, job: Job) -> None:
        """Adds a job."""
        jobs = self._to_wait if job.waits else self._to_compute
        heapq.heappush(jobs, (-job.seconds, next(self._pushed), job))

    def pop_if(self, room: Room) -> Job | None:
        """Takes the next job for which there is room: one that only waits, or else the longest."""
        if self._to_wait and room(self.computing, self.waiting, waits=True):
            self.waiting += 1
            return heapq.heappop(self._to_wait)[-1]
        if self._to_compute and room(self.computing, self.waiting, waits=False):
            self.computing += 1
            return heapq.heappop(self._to_compute)[-1]
        return None

    def ended(self, job: Job) -> None:
        """A job that was taken from here no longer runs."""
        if job.waits:
            self.waiting -= 1
        else:
            self.computing -= 1
