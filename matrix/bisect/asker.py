"""Asks builds one question, step by step, and keeps all answers in one run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.plan.plan import Cell, Plan
from matrix.results.directory import RunDirectory, open_run
from matrix.results.manifest import Manifest, new_manifest
from matrix.results.record import Record
from matrix.results.reuse import answer_keys
from matrix.run.guests import Guests
from matrix.run.progress import Display
from matrix.run.runner import execute
from matrix.run.waiting import told
from vms.kernels.kernel import Build


@dataclass
class Asker:
    """The builds that can be asked are the plan's kernels, each with one cell.

    The run directory is opened by the first question; a run of the same plan that was interrupted
    is gone on with, and what it has answered is not asked again.
    """

    plan: Plan
    guests: Guests
    results: Path
    jobs: int
    command: tuple[str, ...]
    display: Display
    code: Mapping[str, str]
    run: RunDirectory | None = field(default=None, init=False)

    def __call__(self, builds: Sequence[Build]) -> Mapping[str, tuple[Record, str]]:
        """For the id of each build its record, and the name of this run."""
        wanted = {build.id for build in builds}
        cells = tuple(cell for cell in self.plan.cells if cell.kernel.id in wanted)
        run = self.run = self.run or self._opened(cells)
        step = Plan(tuple(cell.kernel for cell in cells), self.plan.experiments, cells)
        execute(step, self.guests, run, self.jobs, self.display)
        return {cell.kernel.id: (run.records[cell.key], run.manifest.run) for cell in cells}

    def _opened(self, first: Sequence[Cell]) -> RunDirectory:
        with told(self.display.note, "preparing the guests' image and accelerator"):
            # Not all kernels of the range: those that are prepared are also fetched.
            surroundings = self.guests.prepare([cell.kernel for cell in first])
        # Without knowledge of other answers each cell is asked in a guest of its own.
        manifest = new_manifest(self.plan, surroundings, self.command, self.jobs, pristine=None)
        run = open_run(self.results, manifest, self.display.note)
        run.keys = answer_keys(self.plan.cells, self.code, surroundings)
        return run

    def answered(self) -> tuple[Manifest, list[Record]] | None:
        """The run as it is reported, of the kernels that were asked only; None if none was."""
        if self.run is None:
            return None
        records = list(self.run.records.values())
        names = {record.kernel for record in records}
        kernels = tuple(kernel for kernel in self.run.manifest.kernels if kernel.name in names)
        self.run.update(replace(self.run.manifest, kernels=kernels))
        return self.run.manifest, records

    def close(self, *, finished: bool) -> None:
        """Ends the run, if one was opened."""
        if self.run is not None:
            self.run.close(finished=finished)
