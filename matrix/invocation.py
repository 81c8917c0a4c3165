"""One invocation: from configuration and flags to a run on disk, its reports and an exit code."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from guest.catalogue import Experiment
from matrix.analysis.analysis import Analysis, analyse
from matrix.analysis.answers import read_answers
from matrix.analysis.beside import Beside
from matrix.analysis.known import Known
from matrix.analysis.ledger.model import Ledger
from matrix.plan.plan import Plan
from matrix.report.live import LiveReport
from matrix.report.words import counted
from matrix.report.write import write_reports
from matrix.results.directory import Key, RunDirectory, now, open_run
from matrix.results.manifest import new_manifest
from matrix.results.reuse import answer_keys, reuse
from matrix.run.durations import measured_seconds
from matrix.run.guests import Guests
from matrix.run.progress import Display
from matrix.run.runner import execute
from matrix.run.waiting import told
from vms.program import COMMAND

_NAMED = 3  # earlier runs that a message names
_LONGEST_WHY = 120  # characters about the accelerator, of which each run tells


@dataclass(frozen=True)
class RunRequest:
    """What a run is made of. `results` is the directory of all runs, `jobs` the number of guests
    that compute at a time, `command` the words after `./invoke`.

    `left_out` has the versions of builds that belong to a range of kernels but are gone from their
    archive. `after` is the largest number of a run that is known from elsewhere. `code` has the
    digest of each experiment's code (`matrix.plan.code`): answers that earlier runs have for the
    same are used, except to the cells whose keys are in `again`. `pristine` names the kernels of
    which each cell is asked in a guest of its own. `known` says which answers of shared guests
    count; None for what all runs have answered, and the ledger.
    """

    plan: Plan
    catalogue: Mapping[str, Experiment]
    ledger: Ledger
    guests: Guests
    results: Path
    jobs: int
    command: tuple[str, ...]
    display: Display
    left_out: tuple[str, ...] = ()
    after: int = 0
    code: Mapping[str, str] = field(default_factory=dict)
    again: Collection[Key] = ()
    pristine: frozenset[str] = frozenset()
    known: Beside | None = None


@dataclass(frozen=True)
class Result:
    """A finished run: its directory, its page, and its analysis with the records in the plan's
    order.
    """

    run: Path
    page: Path
    analysis: Analysis


def _briefly(why: str) -> str:
    """Why this accelerator, without what QEMU and kernels said of another if that is long."""
    return why if len(why) <= _LONGEST_WHY else f"{why.partition(':')[0]}; `{COMMAND} doctor` says why"


def run_matrix(request: RunRequest) -> Result:
    """Runs the plan, or the rest of it if a run of the same plan was interrupted, and writes its
    reports.

    Answers that an earlier run has for the same kernels, code and surroundings are used. After
    KeyboardInterrupt the finished cells are on disk, and the next call runs the others.
    """
    plan, guests, display = request.plan, request.guests, request.display
    with told(display.note, "preparing the guests' image and accelerator"):
        surroundings = guests.prepare(plan.kernels)
    display.note(f"accelerator: {surroundings.accelerator} ({_briefly(surroundings.why)})")
    manifest = new_manifest(
        plan,
        surroundings,
        request.command,
        request.jobs,
        left_out=request.left_out,
        pristine=request.pristine,
        after=request.after,
    )
    run = open_run(request.results, manifest, display.note)
    if run.records:
        display.note(
            f"resuming run {run.manifest.run}: {len(run.records)} of {counted(len(plan.cells), 'cell')} done"
        )
    _reuse(request, run)
    known = request.known or _known(request)
    finished = False
    try:
        with _live(request, run) as live:
            execute(plan, guests, run, request.jobs, live, known)
        records = [run.records[cell.key] for cell in plan.cells]
        done = replace(run.manifest, finished=now())
        analysis = analyse(done, records, request.catalogue, request.ledger)
        page = write_reports(run.path, analysis)
        finished = True
    finally:
        # Not before its reports are written: a run without them is gone on with, not run again.
        run.close(finished=finished)
    return Result(run.path, page, analysis)


def _known(request: RunRequest) -> Known | None:
    """What earlier runs answered, by which answers of shared guests are judged; None if each cell
    is asked in a guest of its own.
    """
    if all(cell.experiment.alone or cell.kernel.name in request.pristine for cell in request.plan.cells):
        return None
    return Known(read_answers(request.results, request.display.note).known, request.ledger)


def _live(request: RunRequest, run: RunDirectory) -> LiveReport:
    """The run's display, with a page that is kept current."""
    return LiveReport(
        request.display,
        run,
        request.plan.cells,
        measured_seconds(request.results, run.path),
        lambda manifest, records: analyse(manifest, records, request.catalogue, request.ledger),
    )


def _reuse(request: RunRequest, run: RunDirectory) -> None:
    """Takes over what earlier runs answered, and notes it."""
    plan = request.plan
    run.keys = answer_keys(plan.cells, request.code, run.manifest.surroundings)
    done = {*run.records, *request.again}
    taken = reuse(run, [cell for cell in plan.cells if cell.key not in done])
    if taken:
        names = ", ".join(sorted(taken, reverse=True)[:_NAMED])
        more = f" and {len(taken) - _NAMED} more" if len(taken) > _NAMED else ""
        request.display.note(
            f"{sum(taken.values())} of {len(plan.cells)} cells were answered by earlier runs ({names}{more}),"
            " with the same kernel, code and machine"
        )
