"""One invocation: from configuration and flags to a run on disk, its reports and an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from guest.catalogue import Experiment
from matrix.analysis.ledger.read import read_ledger
from matrix.analysis.table import Table, make_table
from matrix.analysis.unexplained import Surprise, surprises
from matrix.plan.plan import Plan
from matrix.report.write import write_reports
from matrix.results.directory import now, open_run
from matrix.results.manifest import Manifest, kernel_entries, plan_digest
from matrix.results.record import Record, Status
from matrix.run.guests import Guests
from matrix.run.progress import Display
from matrix.run.runner import execute


@dataclass(frozen=True)
class Result:
    """A finished run: its directory, its page, its records in the plan's order, its table, what
    nobody explained, and its exit code.
    """

    run: Path
    page: Path
    records: list[Record]
    table: Table
    surprises: tuple[Surprise, ...]
    exit_code: int


def run_matrix(
    plan: Plan,
    catalogue: Mapping[str, Experiment],
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
    run = open_run(results, manifest)
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
    page = write_reports(run.path, run.manifest, records, catalogue)
    table = make_table(run.manifest, records, catalogue)
    unexplained = surprises(table, read_ledger())
    return Result(run.path, page, records, table, unexplained, exit_code(records, unexplained))


def exit_code(records: Sequence[Record], unexplained: Sequence[Surprise]) -> int:
    """1 if a kernel did what none should or what nobody explained, else 3 if we failed anywhere,
    else 0.

    In this order, because what a kernel did stays true whatever we missed.
    """
    statuses = {record.status for record in records}
    if unexplained or any(status.is_unexpected for status in statuses):
        return 1
    return 3 if Status.ERROR in statuses else 0
