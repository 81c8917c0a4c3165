"""Executors run the jobs of a plan; `LocalExecutor` does so in threads on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, ParamSpec, Protocol, TypeVar

from matrix.run.idle import idle
from vms.capacity import GUEST, children, free_memory, resident
from vms.interrupt import interrupt

_DOWNLOADS = 3  # kernels fetched at a time
_WAITING = 16  # guests that only wait: at most this many at a time; each needs memory
_STOP_SECONDS = 2.0

P = ParamSpec("P")
T = TypeVar("T")


class Executor(Protocol):
    """Runs jobs of two kinds as `concurrent.futures`, and bounds how many run at once."""

    def fetch(self, job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Starts a job that fetches a kernel."""

    def work(self, job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Starts a job that runs a guest.

        With several machines, it prefers the one that made the job's first argument.
        """

    def room(self, computing: int, waiting: int, *, waits: bool) -> bool:
        """Whether another job may start while `computing` guests compute and `waiting` only wait;
        `waits` says that the job's guest would only wait.

        Jobs that are held back stay in the run's queue, where a longer job may go first.
        """

    def started(self, future: Future[Any]) -> bool:
        """Whether a job that has not ended is running, as far as is known."""

    def note_memory(self, resident: int) -> None:
        """Notes that a guest used `resident` bytes of memory."""

    def check(self) -> None:
        """Raises HostError if jobs that were started can never end."""

    def stop(self, under_way: Iterable[Future[Any]]) -> None:
        """Ends the jobs of these futures within seconds."""

    def close(self) -> None:
        """Cancels all jobs that have not started."""


class LocalExecutor:
    """Runs jobs in threads on this machine.

    At most `jobs` guests compute and 16 more only wait; fewer while memory is short.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._fetching = ThreadPoolExecutor(_DOWNLOADS, "fetch")
        self._working = ThreadPoolExecutor(jobs + _WAITING, "guest")
        self._largest = 0

    def fetch(self, job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Starts a job that fetches a kernel."""
        return self._fetching.submit(job, *arguments, **named)

    def work(self, job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Starts a job that runs a guest."""
        return self._working.submit(job, *arguments, **named)

    def room(self, computing: int, waiting: int, *, waits: bool) -> bool:
        """Whether a thread is free and there is memory for all that a guest may take, or for one as
        large as the largest so far if that is more.

        One guest may always run.
        """
        working = computing + waiting
        if waiting >= _WAITING if waits else computing >= self._jobs:
            return False
        while not self._memory_for_another(working):
            if not idle.end_one():
                return working == 0
        return True

    def _memory_for_another(self, working: int) -> bool:
        each = max(self._largest, GUEST)
        # Guests that run may take more memory than they do now.
        still_growing = max(0, (working + len(idle)) * each - sum(map(resident, children())))
        return free_memory() - still_growing > each

    def started(self, future: Future[Any]) -> bool:
        """Whether a thread is running the job."""
        return future.running()

    def note_memory(self, resident: int) -> None:
        """Notes that a guest used `resident` bytes of memory."""
        self._largest = max(self._largest, resident)

    def check(self) -> None:
        """Nothing to check: threads on this machine cannot disappear."""

    def stop(self, under_way: Iterable[Future[Any]]) -> None:
        """Ends every guest and every tool, then waits two seconds for the threads to clean up."""
        started = [future for future in under_way if not future.cancel()]
        interrupt()
        wait(started, timeout=_STOP_SECONDS)

    def close(self) -> None:
        """Cancels all jobs that have not started, and ends the guests that wait."""
        self._fetching.shutdown(wait=False, cancel_futures=True)
        self._working.shutdown(wait=False, cancel_futures=True)
        idle.end_all()
