"""One invocation: from configuration and flags to a run on disk, its reports and an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from guest.catalogue import Experiment
from matrix.analysis.analysis import Analysis, analyse
from matrix.analysis.ledger.model import Ledger
from matrix.plan.plan import Plan
from matrix.report.write import write_reports
from matrix.results.directory import now, open_run
from matrix.results.manifest import Manifest, kernel_entries, plan_digest
from matrix.run.guests import Guests
from matrix.run.progress import Display
from matrix.run.runner import execute


@dataclass(frozen=True)
class Result:
    """A finished run: its directory, its page, and its analysis with the records in the plan's
    order.
    """

    run: Path
    page: Path
    analysis: Analysis


def run_matrix(
    plan: Plan,
    catalogue: Mapping[str, Experiment],
    ledger: Ledger,
    guests: Guests,
    results: Path,
    jobs: int,
    command: Sequence[str],
    display: Display,
    left_out: Sequence[str] = (),
) -> Result:
    """Runs the plan, or what an interrupted run of the same plan left of it, and writes its
    reports.

    `left_out` goes into the manifest. On KeyboardInterrupt what is done is on disk, and the next
    call goes on with it.
    """
    display.note("preparing the guests' image and accelerator")
    surroundings = guests.prepare(plan.kernels)
    display.note(f"accelerator: {surroundings.accelerator} ({surroundings.why})")
    digest = plan_digest(plan, surroundings)
    started = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    names = tuple(experiment.name for experiment in plan.experiments)
    manifest = Manifest(
        started,
        digest,
        now(),
        tuple(command),
        jobs,
        names,
        kernel_entries(plan),
        surroundings,
        left_out=tuple(left_out),
    )
    run = open_run(results, manifest, display.note)
    if run.records:
        display.note(
            f"going on with run {run.manifest.run}: {len(run.records)} of {len(plan.cells)} cells are done"
        )
    finished = False
    try:
        execute(plan, guests, run, jobs, display)
        finished = True
    finally:
        run.close(finished=finished)
    records = [run.records[cell.key] for cell in plan.cells]
    analysis = analyse(run.manifest, records, catalogue, ledger)
    return Result(run.path, write_reports(run.path, analysis), analysis)
