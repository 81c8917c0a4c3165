"""A whole default `./invoke matrix`: with nothing but downloads in the cache, with everything in
it, with a clone for each cell, with every answer known, and the night after it.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.figure import Figure
from bench.guests import ROOT, Silent, elsewhere, ended_seconds
from matrix.analysis.ledger.read import read_ledger
from matrix.baseline.baseline import Baseline
from matrix.invocation import RunRequest, run_matrix
from matrix.nightly.nightly import nightly
from matrix.plan.plan import Plan, plan_choices
from matrix.plan.project import Project
from matrix.results.record import Record
from matrix.run.machines import Machines
from vms.cache import Cache
from vms.capacity import processors
from vms.errors import HostError
from vms.kernels.select import select

_SECONDS = 4 * 3600
_DOWNLOADS = ("apt", "kernels", "images", "accelerators")


@dataclass(frozen=True)
class Seen:
    """The seconds until the first row was answered on every kernel, until there was a page, and
    until the run's end, and the processor seconds of its guests.
    """

    row: float
    page: float
    end: float
    cpu: float


@dataclass(frozen=True)
class Taken:
    """How many cells there are, and the seconds that each run took."""

    cells: int
    cold: Seen
    warm: Seen
    pristine: Seen
    known: float
    unchanged: float


def measure() -> list[Figure]:
    """In a process of its own, which knows the user's experiments and not those that measure."""
    taken = msgspec.json.decode(elsewhere("bench.matrix", _SECONDS), type=Taken)
    cold = f"{taken.cells} cells; kernels and image were downloaded and unpacked, nothing else was made"
    return [
        *_seen("cold", taken.cold, cold),
        *_seen("warm", taken.warm, "the same with templates in the cache"),
        Figure(
            "pristine_seconds",
            taken.pristine.end,
            "s",
            "the same with each cell in a clone of its own",
            taken.warm.end,
            "the warm run",
            "at least 3",
        ),
        Figure(
            "pristine_cpu_seconds",
            taken.pristine.cpu,
            "s",
            "processor time of its guests",
            taken.warm.cpu,
            "the warm run's",
        ),
        Figure(
            "known_seconds",
            taken.known,
            "s",
            "the same with every answer in an earlier run",
            taken.warm.end,
            "the warm run",
        ),
        Figure("unchanged_seconds", taken.unchanged, "s", "a night in which nothing is new"),
        Figure(
            "warm_cell_seconds",
            taken.warm.end / taken.cells,
            "s",
            f"a cell of the warm run, {processors()} at a time",
        ),
    ]


def _seen(name: str, seen: Seen, what: str) -> list[Figure]:
    row = f"until a row was answered on every kernel: {seen.row:.0f} s"
    page = f"until there was a page: {seen.page:.0f} s"
    return [
        Figure(f"{name}_seconds", seen.end, "s", what),
        Figure(f"{name}_row_share", seen.row / seen.end, "of it", row),
        Figure(f"{name}_page_share", seen.page / seen.end, "of it", page),
    ]


class Watch(Silent):
    """A display that notes when the first row was answered on every kernel, and when there was a
    page.
    """

    def __init__(self, plan: Plan, results: Path) -> None:
        self._kernels = len(plan.kernels)
        self._rows: Counter[tuple[str, str]] = Counter()
        self._page = results / "latest" / "report" / "index.html"
        self._began = time.perf_counter()
        self._before = ended_seconds()
        self._row = 0.0
        self._first_page = 0.0

    def finished(self, record: Record) -> None:
        """Counts the cell."""
        row = record.question
        self._rows[row] += 1
        if not self._row and self._rows[row] == self._kernels:
            self._row = time.perf_counter() - self._began

    def tick(self) -> None:
        """Looks whether the page is there."""
        if not self._first_page and self._page.exists():
            self._first_page = time.perf_counter() - self._began

    def seen(self) -> Seen:
        """What was noted, once the run has ended."""
        end = time.perf_counter() - self._began
        return Seen(self._row or end, self._first_page or end, end, ended_seconds() - self._before)


def take() -> Taken:
    """Runs the matrix four times and a night."""
    project = Project.open(ROOT)
    plan = plan_choices(select(project.specs(), project.builds, ROOT).kernels, project.choices())
    ahead = Machines(project, catalogue=project.builds)
    ahead.prepare(plan.kernels)
    for kernel in plan.kernels:
        ahead.fetch(kernel)
    seen = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=project.cache.root.parent) as directory:
        cache, results = Path(directory) / "cache", Path(directory) / "results"
        cache.mkdir()
        for kind in _DOWNLOADS:
            (cache / kind).symlink_to(project.cache.root / kind)
        everything = {cell.key for cell in plan.cells}
        nothing = set[tuple[str, str, str]]()
        names = {kernel.name for kernel in plan.kernels}
        for again, alone in ((everything, ()), (everything, ()), (everything, names), (nothing, names)):
            machines = Machines(replace(project, cache=Cache(cache)), catalogue=project.builds)
            watch = Watch(plan, results)
            request = RunRequest(
                plan,
                project.experiments,
                read_ledger(),
                machines,
                results,
                processors(),
                ("matrix",),
                watch,
                code=project.code,
                again=again,
                pristine=frozenset(alone),
            )
            result = run_matrix(request)
            seen.append(watch.seen())
        (result.run / "nightly.json").write_text("{}")  # the sign by which a night knows answers
        began = time.perf_counter()
        night = nightly(replace(request, display=Silent()), Baseline(), datetime.now(UTC).date())
        unchanged = time.perf_counter() - began
    if night.run:
        raise HostError(
            f"the night asked {sum(night.counts.values())} cells again: they had ended in `error`, or the day"
            " was over"
        )
    cold, warm, pristine, known = seen
    return Taken(len(plan.cells), cold, warm, pristine, known.end, unchanged)


if __name__ == "__main__":
    print(msgspec.json.encode(take()).decode())
