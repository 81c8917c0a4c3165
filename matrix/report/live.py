"""Keeps a run's page current while it runs, and tells its display how far it is."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from matrix.analysis.analysis import Analysis, ExplainedChange
from matrix.analysis.table import Row
from matrix.plan.plan import Cell, cell_label
from matrix.report.page.html import html_report
from matrix.results.directory import RunDirectory, record_key
from matrix.results.manifest import Manifest
from matrix.results.record import Record
from matrix.run.durations import Seconds
from matrix.run.progress import Display, KernelProgress, Overview
from vms.errors import HostError, MatrixError
from vms.files import write_whole

_LEAST_SECONDS = 10.0  # between two pages
_SHARE = 50  # a page that took a second is written again after 50: 2 % of one processor
_ASSUMED_SECONDS = 1.0  # of a cell, if no run measured any
_NEWEST = 5

Analyse = Callable[[Manifest, Sequence[Record]], Analysis]


class LiveReport:
    """A display that passes all on to another one and keeps `report/index.html` current.

    The page is written in a thread of its own, so that guests do not wait for it, and as seldom as
    it takes to use at most 2 % of one processor. When the context ends with an exception, such as
    Ctrl-C, a last page has all cells that are done.
    """

    def __init__(
        self,
        display: Display,
        run: RunDirectory,
        cells: Sequence[Cell],
        measured: Seconds,
        analyse: Analyse,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display = display
        self._run = run
        self._analyse = analyse
        self._clock = clock
        self._estimate = Estimate.of(cells, run, measured)
        self._cells = len(cells)
        self._found = Found()
        self._writer = ThreadPoolExecutor(1, "report")
        self._writing: Future[_Written] | None = None
        self._next = clock() + _LEAST_SECONDS
        self._shown = 0

    def __enter__(self) -> LiveReport:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.shutdown(wait=True)
        if kind is not None and self._run.records:
            with contextlib.suppress(MatrixError, OSError):  # the run's own exception matters more
                self._write(self._run.manifest, tuple(self._run.records.values()))

    def note(self, text: str) -> None:
        """Passes the note on."""
        self._display.note(text)

    def changed(self, kernel: KernelProgress) -> None:
        """Passes the kernel's phase on."""
        self._display.changed(kernel)

    def finished(self, record: Record) -> None:
        """Passes the record on, and counts it as done."""
        self._estimate.finished(record, self._clock())
        self._display.finished(record)

    def overview(self, overview: Overview) -> None:
        """Passes the overview on."""
        self._display.overview(overview)

    def tick(self) -> None:
        """Starts to write a page if it is time, and reports how far the run is."""
        if self._writing and self._writing.done():
            self._written(self._writing)
        if self._writing is None and self._clock() >= self._next and len(self._run.records) > self._shown:
            self._shown = len(self._run.records)
            records = tuple(self._run.records.values())
            self._writing = self._writer.submit(self._write, self._run.manifest, records)
        self._display.overview(
            Overview(
                len(self._run.records),
                self._cells,
                self._estimate.seconds_left(self._clock()),
                self._found.changes,
                self._found.unexplained,
                self._found.newest,
            )
        )
        self._display.tick()

    def _written(self, writing: Future[_Written]) -> None:
        self._writing = None
        try:
            written = writing.result()
        except (HostError, OSError) as error:
            self._display.note(f"the page could not be written: {error}")
            self._next = float("inf")
            return
        self._found.add(written.analysis)
        self._next = self._clock() + max(_LEAST_SECONDS, _SHARE * written.seconds)

    def _write(self, manifest: Manifest, records: Sequence[Record]) -> _Written:
        began = time.thread_time()
        analysis = self._analyse(manifest, records)
        write_whole(self._run.report / "index.html", html_report(analysis, self._run.path).encode())
        return _Written(analysis, time.thread_time() - began)


@dataclass(frozen=True)
class _Written:
    analysis: Analysis
    seconds: float  # of processor time


@dataclass
class Found:
    """The changes that were found so far. `newest` has the last ones, the newest first."""

    changes: int = 0
    unexplained: int = 0
    newest: tuple[str, ...] = ()
    _known: set[Hashable] = field(default_factory=set)

    def add(self, analysis: Analysis) -> None:
        """Takes the counts of a newer analysis, and its changes that no older one had."""
        self.changes = sum(len(changes) for _, changes in analysis.rows)
        self.unexplained = len(analysis.unexplained)
        fresh = []
        for key, line in _changes(analysis):
            if key not in self._known:
                self._known.add(key)
                fresh.append(line)
        self.newest = (*reversed(fresh), *self.newest)[:_NEWEST]


def _changes(analysis: Analysis) -> Iterator[tuple[Hashable, str]]:
    """Each change with what identifies it, whichever variants have it."""
    kernels = analysis.table.kernels
    for row, changes in analysis.rows:
        for change in changes.values():
            between = f"{kernels[change.before].name} -> {kernels[change.after].name}"
            key = (row.experiment, between, tuple(fact.difference.key for fact in change.facts))
            yield key, f"{between}: {cell_label(row.experiment, row.label)}: {_what(row, change)}"


def _what(row: Row, change: ExplainedChange) -> str:
    names = ", ".join(fact.difference.fact or "status" for fact in change.facts)
    answers = row.words and (row.words[change.before], row.words[change.after])
    return f"{' -> '.join(answers) if answers and all(answers) else names} ({change.verdict})"


@dataclass
class Estimate:
    """How long a run will still take: the work that is left at the speed of the work done so far.

    Work is in seconds, as earlier runs measured it; cells that only wait are none, since others run
    beside them.
    """

    work: dict[tuple[str, str, str], float]
    left: float
    done: float = 0.0
    began: float | None = None

    @classmethod
    def of(cls, cells: Sequence[Cell], run: RunDirectory, measured: Seconds) -> Estimate:
        """The estimate for the cells that the run has no record of."""
        left = [cell for cell in cells if cell.key not in run.records and not cell.experiment.waits]
        known = [seconds for cell in left if (seconds := measured(cell)) is not None]
        usual = statistics.median(known) if known else _ASSUMED_SECONDS
        work = {cell.key: usual if (s := measured(cell)) is None else s for cell in left}
        return cls(work, sum(work.values()))

    def finished(self, record: Record, now: float) -> None:
        """A cell is done. The time until the first one, in which kernels boot, does not count."""
        work = self.work.pop(record_key(record), 0.0)
        self.left -= work
        if self.began is None:
            self.began = now
        else:
            self.done += work

    def seconds_left(self, now: float) -> float | None:
        """The estimate in seconds; None as long as too little is done."""
        if self.began is None or self.done < self.left / 50 or not self.done:
            return None
        return max(0.0, self.left) * (now - self.began) / self.done
