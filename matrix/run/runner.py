"""Runs a plan, with each cell's record on disk as soon as the cell ends.

Jobs run in an executor, on this machine or on others, and only compute. The thread that called
`execute` makes every decision and writes every file. Kernels to boot go first, then cells in the
order of `matrix.run.order`.
"""

from __future__ import annotations

import contextlib
import queue
import time
import traceback
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Protocol

from matrix.plan.plan import Cell, Plan
from matrix.results.directory import RunDirectory
from matrix.results.judge import Judged, Outcome, verdict
from matrix.results.record import Record, Status
from matrix.run.attempts import ATTEMPTS, counted
from matrix.run.cell import Question, ask
from matrix.run.durations import measured_seconds
from matrix.run.executor import Executor
from matrix.run.guests import Guests, Template
from matrix.run.jobs import Job, KernelState, Ready
from matrix.run.order import Order, expected, places
from matrix.run.progress import Display, KernelProgress, Phase
from vms.errors import LostGuest, MatrixError, Unbootable, plain_error
from vms.hardware import Hardware
from vms.kernels.kernel import BootFiles, Kernel

_TICK = 0.25


class Known(Protocol):
    """What is known of kernels' answers."""

    def expects(self, kernel: Kernel, record: Record) -> bool:
        """Whether the answer is no surprise."""

    def learn(self, kernel: Kernel, record: Record) -> None:
        """Adds an answer that counts."""


def execute(
    plan: Plan,
    guests: Guests,
    run: RunDirectory,
    jobs: int,
    display: Display,
    known: Known | None = None,
    order: Order = places,
) -> None:
    """Runs every cell of the plan that the run has no record of, with at most `jobs` guests that
    compute at a time.

    Guests answer many cells each; what is not `known` of a kernel is asked again in a guest of its
    own. Without `known` each cell gets a guest of its own, as do the cells of kernels that are
    `pristine` by the manifest.

    If a kernel cannot be fetched or booted, each of its cells ends as `error` and other kernels
    continue. On KeyboardInterrupt all jobs end within seconds, finished cells stay on disk, and the
    exception is raised again.
    """
    executor = guests.executor(jobs)
    state = _Run(plan, guests, run, executor, jobs, display, known, order)
    try:
        state.all()
    except BaseException:
        state.stop()
        raise
    finally:
        executor.close()


class _Run:
    """The state of a run, and the steps that follow when a job ends. Used by one thread only."""

    def __init__(
        self,
        plan: Plan,
        guests: Guests,
        run: RunDirectory,
        executor: Executor,
        jobs: int,
        display: Display,
        known: Known | None,
        order: Order,
    ) -> None:
        self._known = known
        self._guests = guests
        self._run = run
        self._executor = executor
        self._display = display
        self._measured = measured_seconds(run.path.parent, run.path)
        self._place = order(plan.cells, self._measured)
        self._ready = Ready(jobs)
        self._pending: dict[Future[Any], Job] = {}
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._kernels = []
        for kernel in plan.kernels:
            cells = plan.of(kernel)
            left = [cell for cell in cells if cell.key not in run.records]
            state = KernelState(
                kernel, KernelProgress(kernel.name, len(cells), done=len(cells) - len(left)), left
            )
            state.progress.statuses.update(
                record.status for key, record in run.records.items() if key[0] == kernel.name
            )
            self._kernels.append(state)

    def all(self) -> None:
        """Runs all cells that are left."""
        for state in self._kernels:
            if state.cells:
                self._fetch(state)
            else:
                self._enter(state, Phase.DONE)
            self._ready.announce(self._work(state.cells))
        ticked = 0.0
        while self._pending or self._ready:
            self._hand_over()
            with contextlib.suppress(queue.Empty):
                future = self._ended.get(timeout=_TICK)
                self._executor.check()
                job = self._pending.pop(future)
                if job.phase is not Phase.FETCHING:  # needs no guest
                    self._ready.ended(job)
                job.then(future)
            if time.monotonic() - ticked > _TICK:
                ticked = time.monotonic()
                self._executor.check()
                for future, job in self._pending.items():
                    if self._executor.started(future):
                        self._enter(job.state, job.phase)
                self._display.tick()

    def stop(self) -> None:
        """Ends all jobs that were started."""
        self._executor.stop(self._pending)

    def _hand_over(self) -> None:
        while job := self._ready.pop_if(self._executor.room):
            self._begin(self._executor.work(job.run, *job.arguments), job)

    def _begin(self, future: Future[Any], job: Job) -> None:
        self._pending[future] = job
        future.add_done_callback(self._ended.put)

    def _enter(self, state: KernelState, phase: Phase) -> None:
        if phase.rank > state.progress.phase.rank:
            state.progress.enter(phase)
            self._display.changed(state.progress)

    def _fetch(self, state: KernelState) -> None:
        def then(future: Future[BootFiles]) -> None:
            try:
                files = future.result()
            except Exception as error:
                state.attempts[Phase.FETCHING] += 1
                if isinstance(error, LostGuest) and state.attempts[Phase.FETCHING] < ATTEMPTS:
                    self._fetch(state)  # the worker that fetched it is gone
                else:
                    self._give_up(state, state.cells, _failure(error, f"could not fetch {state.kernel.name}"))
                return
            self._amend(state.kernel, uname=files.version, sha256=files.sha256)
            for hardware in sorted({cell.hardware for cell in state.cells}):
                self._boot(state, files, hardware)

        job = Job(state, Phase.FETCHING, then, self._guests.fetch, (state.kernel,))
        self._begin(self._executor.fetch(job.run, *job.arguments), job)

    def _boot(self, state: KernelState, files: BootFiles, hardware: Hardware) -> None:
        cells = [cell for cell in state.cells if cell.hardware == hardware]

        def then(future: Future[Template]) -> None:
            try:
                template = future.result()
            except Exception as error:
                state.attempts[hardware] += 1
                if isinstance(error, LostGuest) and state.attempts[hardware] < ATTEMPTS:
                    self._boot(state, files, hardware)
                else:
                    self._give_up(state, cells, _failure(error, f"could not boot {state.kernel.name}"))
                return
            state.boot |= template.boot
            self._amend(state.kernel, boot=state.boot)
            for cell in cells:
                self._ask(state, template, cell)

        # Booting goes before any cell, since all cells of the kernel wait for it.
        self._ready.push(Job(state, Phase.BOOTING, then, self._guests.template, (files, hardware)))

    def _ask(self, state: KernelState, template: Template, cell: Cell) -> None:
        tries = state.tries[cell.key]

        def then(future: Future[Outcome]) -> None:
            try:
                outcome = future.result()
            except Exception as error:
                outcome = Outcome(lost=_message(error))
            self._executor.note_memory(outcome.resident)
            tries.append(verdict(cell, outcome, len(tries) + 1))
            judged = counted(tries, lambda record: self._expected(state.kernel, record))
            if judged is None:
                self._ask(state, template, cell)
            else:
                del state.tries[cell.key]
                self._keep(state, judged, outcome.console)

        own = bool(tries) or self._known is None or cell.kernel.name in (self._run.manifest.pristine or ())
        self._ready.push(
            Job(
                state,
                Phase.RUNNING,
                then,
                ask,
                (template, Question.of(cell, own=own)),
                self._place(cell),
                expected(cell, self._measured),
                waits=cell.experiment.waits,
            )
        )

    def _expected(self, kernel: Kernel, record: Record) -> bool:
        return self._known is not None and self._known.expects(kernel, record)

    def _give_up(self, state: KernelState, cells: list[Cell], reason: str) -> None:
        state.progress.message = reason
        self._ready.announce(-self._work(cells))
        for cell in cells:
            record = Record(
                cell.kernel.name,
                cell.experiment.name,
                dict(cell.variant),
                Status.ERROR,
                reason=reason,
                attempts=0,
            )
            self._keep(state, Judged(record, {}), "")

    def _keep(self, state: KernelState, judged: Judged, console: str) -> None:
        record = self._run.keep(judged, console)
        if self._known is not None:
            self._known.learn(state.kernel, record)
        state.progress.done += 1
        state.progress.statuses[record.status] += 1
        self._display.finished(record)
        if state.progress.done == state.progress.cells:
            self._enter(state, Phase.FAILED if state.progress.message else Phase.DONE)
            self._amend(
                state.kernel,
                seconds={phase: round(seconds, 3) for phase, seconds in state.progress.seconds.items()},
            )

    def _work(self, cells: list[Cell]) -> float:
        """How many seconds the cells compute."""
        return sum(expected(cell, self._measured) for cell in cells if not cell.experiment.waits)

    def _amend(self, kernel: Kernel, **fields: Any) -> None:
        manifest = self._run.manifest
        kernels = tuple(
            replace(entry, **fields) if entry.name == kernel.name else entry for entry in manifest.kernels
        )
        self._run.update(replace(manifest, kernels=kernels))


def _failure(error: Exception, failed: str) -> str:
    """What failed and why; for a kernel that lacks something a guest's boot needs, only what it
    lacks, since nothing was tried.
    """
    return str(error) if isinstance(error, Unbootable) else f"{failed}: {_message(error)}"


def _message(error: Exception) -> str:
    """The error's message, with a traceback if the error is unexpected, a bug."""
    if isinstance(error, MatrixError | OSError):
        return plain_error(error)
    return f"{type(error).__name__}: {error}\n" + "".join(traceback.format_exception(error)).strip()
