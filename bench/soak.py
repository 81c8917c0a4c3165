"""The whole catalogue on eight kernels, in random orders, by guests that answer many cells: does
anything fail, differ from the published answers, or stay behind?
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from bench.figure import Figure
from bench.guests import MACHINES, PROJECT, ROOT, Silent, kernels, processor_seconds, run
from bench.left import Left, left
from matrix.analysis.known import Known
from matrix.analysis.ledger.read import read_ledger
from matrix.plan.catalogue import read_catalogue
from matrix.plan.plan import Cell, Plan, make_plan, variant_name
from matrix.results.latest import LatestAnswers, read_finished
from matrix.results.record import Record, Status
from matrix.run.durations import Seconds
from matrix.run.order import Place, Wave
from vms.capacity import children, processors, resident

KERNELS = ("5.10", "6.1", "6.12", "6.16.12", "6.17.13", "6.18", "7.2", "7.3")
"""Those of the published run."""
AGAIN = ("6.1", "6.12", "7.3")
"""Those that are asked in further orders."""
CELLS = 5000
_SAMPLE = 100  # cells
_NAMED = 5
_Key = tuple[str, str, str]
_Answers = dict[_Key, Record]


def measure() -> list[Figure]:
    """Runs the catalogue in one random order after the other, each a run of its own."""
    manifest, published = read_finished(ROOT / "results" / "reference")
    answers = LatestAnswers().with_run(manifest, published)
    expected = {key: answer.record for key, answer in answers.answers.items()}
    known = Known(answers, read_ledger())
    MACHINES.prepare(kernels(*KERNELS))
    before, seen = left(), Watching()
    began = time.perf_counter()
    records = []
    for number, plan in enumerate(rounds(CELLS)):
        asked = run(plan, MACHINES, processors(), seen, known, shuffled(number))[1]
        ids = {kernel.name: kernel.id for kernel in plan.kernels}
        records += [(ids[record.kernel], record) for record in asked]
    seconds = time.perf_counter() - began
    return [*summary(records, expected), *_spent(seen, seconds, len(records)), *_left(before, left(), seen)]


def rounds(cells: int) -> Iterator[Plan]:
    """Plans with so many cells in all: every kernel first, then those of AGAIN."""
    catalogue = [PROJECT.experiments[name] for name in read_catalogue(None)]
    plan = make_plan(kernels(*KERNELS), catalogue)
    while cells > 0:
        yield replace(plan, cells=plan.cells[:cells])
        cells -= len(plan.cells)
        plan = make_plan(kernels(*AGAIN), catalogue)


def shuffled(seed: int) -> Callable[[Iterable[Cell], Seconds], Callable[[Cell], Place]]:
    """An order of cells by chance, the same for the same seed."""

    def order(cells: Iterable[Cell], _seconds: Seconds) -> Callable[[Cell], Place]:
        numbers = {cell.key: number for number, cell in enumerate(cells)}
        by_chance = random.Random(seed).sample(range(len(numbers)), len(numbers))
        return lambda cell: Place(Wave.REST, 0.0, by_chance[numbers[cell.key]])

    return order


@dataclass
class Watching(Silent):
    """A display that looks every hundred cells: at the processor seconds of all guests so far, and
    at the bytes of memory of this process and of its largest guest.
    """

    cells: int = 0
    seconds: list[float] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    guest: list[int] = field(default_factory=list)

    def finished(self, _record: Record) -> None:
        """Counts the record."""
        self.cells += 1
        if self.cells % _SAMPLE == 0:
            self.seconds.append(processor_seconds())
            self.own.append(resident(os.getpid()))
            self.guest.append(max(map(resident, children()), default=0))


def summary(asked: list[tuple[str, Record]], expected: _Answers) -> list[Figure]:
    """What became of the cells."""
    records = [record for _, record in asked]
    statuses = Counter(record.status for record in records)
    differing = [record for kernel, record in asked if not _as_published(kernel, record, expected)]
    leaks = [record for record in records if record.leak]
    leaving = [record for record in records if record.asked.left]
    what = f"of {len(records):,} cells"
    shared = sum(not record.asked.alone for record in records)
    return [
        Figure("cells", len(records), "cells", f"asked, {processors()} at a time", shares=_counted(statuses)),
        Figure(
            "shared", shared, "cells", f"{what} were answered by a guest that had been asked others before"
        ),
        Figure("errors", statuses[Status.ERROR], "cells", f"{what} had no answer after retries", goal="0"),
        Figure("unstable", statuses[Status.UNSTABLE], "cells", f"{what} had several answers", goal="0"),
        Figure(
            "differing",
            len(differing),
            "cells",
            f"{what} differ from the published{_names(differing)}",
            goal="0",
        ),
        Figure(
            "again",
            sum(record.attempts > 1 for record in records),
            "cells",
            f"{what} were asked more than once",
        ),
        Figure(
            "leaks",
            len(leaks),
            "cells",
            f"{what} had another answer in a shared guest{_names(leaks)}",
            goal="0",
        ),
        Figure("leaving", len(leaving), "cells", f"{what} left something in their guest{_names(leaving)}"),
    ]


def _as_published(kernel: str, record: Record, expected: _Answers) -> bool:
    known = expected.get((kernel, *record.question))
    return known is None or known.same_answer(record, reason=False)


def _names(records: list[Record]) -> str:
    names = [f"{record.experiment} [{variant_name(record.variant)}] on {record.kernel}" for record in records]
    return f": {'; '.join(names[:_NAMED])}" if names else ""


def _counted(statuses: Counter[Status]) -> dict[str, float]:
    return {status.value: float(number) for status, number in statuses.items()}


def _spent(seen: Watching, seconds: float, cells: int) -> list[Figure]:
    """What the cells took: boots of templates that the cache lacks are in it."""
    each = [(b - a) / _SAMPLE for a, b in zip(seen.seconds, seen.seconds[1:], strict=False)]
    return [
        Figure("cell_seconds", seconds / cells, "s", f"a cell, {processors()} at a time"),
        Figure(
            "cpu_seconds",
            each[-1] if each else 0.0,
            "s",
            "of a processor for each of the last hundred cells",
            sum(each) / len(each) if each else None,
            "the mean of all",
            "flat",
            series=each,
        ),
    ]


def _left(before: Left, after: Left, seen: Watching) -> list[Figure]:
    """What there is more of than before, and memory over time."""
    counted = ("children", "threads", "files", "ports", "directories")
    return [
        *(_grown(name, getattr(before, name), getattr(after, name)) for name in counted),
        Figure(
            "memory",
            (after.memory - before.memory) / 1e6,
            "MB",
            f"more than before in this process: {before.memory / 1e6:.1f}, then {after.memory / 1e6:.1f}",
            goal="flat",
            series=[size / 1e6 for size in seen.own],
        ),
        Figure(
            "guest_memory",
            max(seen.guest, default=0) / 1e6,
            "MB",
            "the largest guest, without what it shares with its template",
            goal="flat",
            series=[size / 1e6 for size in seen.guest],
        ),
    ]


def _grown(name: str, before: int, after: int) -> Figure:
    return Figure(name, after - before, "more", f"{name}: {before} before, {after} after", goal="0")
