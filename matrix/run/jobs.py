"""The jobs of a run, and the order in which they get a guest."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from matrix.plan.plan import Cell
from matrix.results.judge import Judged
from matrix.run.order import BEFORE_CELLS, Place, Wave, must_begin
from matrix.run.progress import KernelProgress, Phase
from vms.boot import Boot
from vms.kernels.kernel import Kernel


@dataclass
class KernelState:
    """One kernel of a run: the cells that are still to be run, and what has happened so far.

    `attempts` counts fetches, and boots by number of CPUs; `tries` has the attempts at each cell
    that has not ended; `boot` is what the kernel reported in its boots.
    """

    kernel: Kernel
    progress: KernelProgress
    cells: list[Cell]
    attempts: Counter[Any] = field(default_factory=Counter)
    tries: defaultdict[Any, list[Judged]] = field(default_factory=lambda: defaultdict(list))
    boot: Boot = field(default_factory=Boot)


@dataclass(frozen=True)
class Job:
    """A job for an executor: the kernel it belongs to, its phase, and `then`, called when it ends.

    `place` is its place in the order of the run, `seconds` how long it will likely take. `waits`
    marks a job whose guest only waits.
    """

    state: KernelState
    phase: Phase
    then: Callable[[Future[Any]], None]
    run: Callable[..., Any]
    arguments: tuple[Any, ...]
    place: Place = BEFORE_CELLS
    seconds: float = 0.0
    waits: bool = False


class Room(Protocol):
    """Says whether another guest may start: `Executor.room`."""

    def __call__(self, computing: int, waiting: int, /, *, waits: bool) -> bool:
        """`computing` and `waiting` guests run; `waits` tells which kind the new one would be."""


class Ready:
    """Jobs that are ready to get a guest, and how many of the jobs taken from here still run.

    `computing` and `waiting` count those that run, by whether their guests compute or only wait.
    `at_a_time` is how many may compute at once.
    """

    def __init__(self, at_a_time: int) -> None:
        self.computing = 0
        self.waiting = 0
        self._at_a_time = at_a_time
        self._to_compute = _Computing()
        self._to_wait: list[tuple[Place, int, Job]] = []
        self._pushed = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._to_compute or self._to_wait)

    def announce(self, seconds: float) -> None:
        """Says that jobs that compute for `seconds` in all will be pushed; negative if they will
        not be.
        """
        self._to_compute.coming += seconds

    def push(self, job: Job) -> None:
        """Adds a job."""
        if job.waits:
            # The longest goes first: it costs no processor, and others run beside it.
            place = replace(job.place, seconds=-job.place.seconds)
            heapq.heappush(self._to_wait, (place, next(self._pushed), job))
        else:
            self._to_compute.push(job, next(self._pushed))

    def pop_if(self, room: Room) -> Job | None:
        """Takes the next job for which there is room: one that only waits, unless jobs that compute
        belong to an earlier wave, or else the next that computes.
        """
        if (
            self._to_wait
            and self._to_wait[0][0].wave <= self._to_compute.wave
            and room(self.computing, self.waiting, waits=True)
        ):
            self.waiting += 1
            return heapq.heappop(self._to_wait)[-1]
        if self._to_compute and room(self.computing, self.waiting, waits=False):
            self.computing += 1
            return self._to_compute.pop(self._at_a_time)
        return None

    def ended(self, job: Job) -> None:
        """A job that was taken from here no longer runs."""
        if job.waits:
            self.waiting -= 1
        else:
            self.computing -= 1


class _Computing:
    """Jobs that compute: by their places and, from the other end, by their length.

    A job is in both heaps; once it was taken from one it is skipped in the other. `coming` is how
    many seconds the jobs take that are not here yet, since their kernels are not ready.
    """

    def __init__(self) -> None:
        self._by_place: list[tuple[Place, int, Job]] = []
        self._by_length: list[tuple[float, int, Job]] = []
        self._in: set[int] = set()
        self.coming = 0.0
        self._left = 0.0

    def __bool__(self) -> bool:
        return bool(self._in)

    @property
    def wave(self) -> Wave:
        """The wave of the next job; the last one without jobs."""
        self._skip(self._by_place)
        return self._by_place[0][0].wave if self._by_place else Wave.REST

    def push(self, job: Job, number: int) -> None:
        heapq.heappush(self._by_place, (job.place, number, job))
        heapq.heappush(self._by_length, (-job.seconds, number, job))
        self._in.add(number)
        self._left += job.seconds
        self.coming = max(0.0, self.coming - job.seconds)

    def pop(self, at_a_time: int) -> Job:
        """The job at the first place, unless the longest must begin now."""
        wave = self.wave
        self._skip(self._by_length)
        longest = -self._by_length[0][0]
        others = self._left + self.coming - longest
        if wave is Wave.REST and must_begin(longest, others, at_a_time):
            _, number, job = heapq.heappop(self._by_length)
        else:
            _, number, job = heapq.heappop(self._by_place)
        self._in.remove(number)
        self._left = max(0.0, self._left - job.seconds) if self._in else 0.0
        return job

    def _skip(self, heap: list[Any]) -> None:
        while heap and heap[0][1] not in self._in:
            heapq.heappop(heap)
