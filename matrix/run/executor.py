"""Who does a run's work: `concurrent.futures` executors, here those of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, ParamSpec, Protocol, TypeVar

from vms.capacity import GUEST, children, free_memory, resident
from vms.interrupt import interrupt

_DOWNLOADS = 3  # kernels fetched at a time
_WAITING = 16  # guests that only wait; they start by turns, and each takes memory
_STOP_SECONDS = 2.0

P = ParamSpec("P")
T = TypeVar("T")


class Executor(Protocol):
    """Executors for the two kinds of work, and what a run must know of them."""

    def fetch(self, job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Starts a job that fetches a kernel."""

    def work(self, job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Starts a job that runs a guest, on the machine where its first argument came from if
        there are several.
        """

    def room(self, computing: int, waiting: int, *, waits: bool) -> bool:
        """Whether to hand over another job while so many compute and so many only wait; `waits`
        says that this one will only wait.

        What is held back can still be overtaken by a longer one.
        """

    def started(self, future: Future[Any]) -> bool:
        """Whether a job that is not done is being worked on, as far as one can tell."""

    def note_memory(self, resident: int) -> None:
        """A guest took that many bytes of memory."""

    def check(self) -> None:
        """Raises HostError if what is under way will never be done."""

    def stop(self, under_way: Iterable[Future[Any]]) -> None:
        """Ends all that is under way, within seconds."""

    def close(self) -> None:
        """Lets go of all that has not started."""


class LocalExecutor:
    """Threads on this machine: `jobs` guests that compute, some more that only wait, or fewer while
    there is no memory for so many.
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
        """Whether a thread is free, and memory for a guest as large as the largest so far.

        One guest may always run.
        """
        working = computing + waiting
        if working == 0:
            return True
        if waiting >= _WAITING if waits else computing >= self._jobs:
            return False
        each = self._largest or GUEST
        # Those under way may have just started, and free memory does not show yet what they will
        # take.
        still_growing = max(0, working * each - sum(map(resident, children())))
        return free_memory() - still_growing > each

    def started(self, future: Future[Any]) -> bool:
        """Whether a thread is at it."""
        return future.running()

    def note_memory(self, resident: int) -> None:
        """A guest took that many bytes of memory."""
        self._largest = max(self._largest, resident)

    def check(self) -> None:
        """Threads end."""

    def stop(self, under_way: Iterable[Future[Any]]) -> None:
        """Ends every guest and every tool, and gives the threads a moment to clean up behind
        them.
        """
        started = [future for future in under_way if not future.cancel()]
        interrupt()
        wait(started, timeout=_STOP_SECONDS)

    def close(self) -> None:
        """Lets go of all that has not started."""
        self._fetching.shutdown(wait=False, cancel_futures=True)
        self._working.shutdown(wait=False, cancel_futures=True)
