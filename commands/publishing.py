"""Tasks that write what others read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from commands.project import write_controls
from commands.shell import (
    RESULTS,
    ROOT,
    complain,
    console,
    count,
    keep,
    reported,
    run_request,
    selected,
    tidy,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.analysis.beside import Beside
    from matrix.extension import Ask
    from matrix.plan.plan import Plan
    from matrix.plan.project import Project
    from matrix.results.manifest import Manifest
    from matrix.results.record import Record
    from vms.kernels.select import Selection

# Each task imports what it needs, so that listing the tasks does not load every library.


@task(
    iterable=["run"],
    help={
        "output": "the directory to write, empty, not there yet, or a site that was written before",
        "run": (
            "a run whose answers to add to those of results/reference, a directory under results/"
            " (repeatable: the newest answer counts)"
        ),
    },
)
@reported
def site(_context: Context, run: list[str], output: str = "") -> None:
    """Write all answers on record as a static site.

    It shows what any upgrade changes, each question, build and commit, and works from a disk and
    from any web server.
    """
    from matrix.analysis.ledger.read import read_ledger
    from matrix.plan.project import Project
    from matrix.report.website.contents import read_contents
    from matrix.report.website.files import files
    from matrix.report.website.output import site_directory, write_site
    from matrix.results.directory import find_run
    from vms.errors import UsageError

    if not output:
        raise UsageError("--output is missing; give the directory to write, for example --output site")
    directory = site_directory(output)
    reference = RESULTS / "reference"
    runs = [reference] if (reference / "manifest.json").is_file() else []
    runs += [find_run(RESULTS, name) for name in run]
    if not runs:
        raise UsageError(
            f"there is no record in {reference}; give a run of your own, for example --run latest"
        )
    contents = read_contents(runs, Project.open(ROOT).experiments, read_ledger())
    write_site(directory, files(contents))
    print(directory / "index.html")


@task(
    iterable=["run", "kernel"],
    help={
        "run": (
            "the run to add, a directory under results/ (repeatable: answers of later runs win; default: the"
            " newest)"
        ),
        "extend": "ask what the record lacks, one build after the other, the newest first",
        "kernel": "with --extend: of these kernels only, for example 6.12.* (repeatable; default: all)",
        "minutes": "with --extend: begin no further build after so many minutes",
    },
)
@reported
def reference(
    _context: Context, run: list[str], kernel: list[str], extend: bool = False, minutes: str | None = None
) -> int:
    """Add a run's answers to the record in results/reference/, or ask all that the record lacks."""
    from matrix.plan.catalogue import read_catalogue
    from matrix.plan.code import question_digests
    from matrix.reference import publish
    from matrix.results.directory import find_run
    from vms.errors import UsageError

    most = count("--minutes", minutes, "minutes")
    if extend:
        if run:
            raise UsageError("--run: with --extend the record is asked for, not taken from a run; give one")
        return _extend(kernel, most)
    if kernel or minutes:
        raise UsageError(f"{'--kernel' if kernel else '--minutes'}: give --extend as well")
    runs = [find_run(RESULTS, name) for name in run or ["latest"]]
    catalogue = read_catalogue(None)
    print(publish(runs, RESULTS / "reference", catalogue, question_digests(catalogue)))
    return 0


def _extend(kernel: list[str], minutes: int) -> int:
    """Asks what the record lacks of these kernels, and publishes each build; the exit code."""
    from matrix.analysis.ledger.read import read_ledger
    from matrix.extension import Extension
    from matrix.plan.catalogue import read_catalogue
    from matrix.plan.code import question_digests
    from matrix.plan.project import Project
    from matrix.report.text.extended import plans_text, print_step

    project, catalogue = Project.open(ROOT), read_catalogue(None)
    selection = selected(project, project.specs(kernel or ["all"]))
    extension = Extension(RESULTS / "reference", catalogue, question_digests(catalogue), read_ledger())
    terminal, began, failed = console(), time.monotonic(), False
    with extension.alone():
        plans = extension.plans(selection.kernels)
        print(plans_text(plans, len(selection.kernels)), flush=True)
        for step in extension.steps(plans, _asker(project, selection)):
            write_controls()
            print_step(step, terminal)
            failed = failed or bool(step.errors or step.leaks)
            tidy(project.config.cache.size)
            if minutes and step.left and time.monotonic() - began > 60 * minutes:
                complain(f"{minutes} minutes are over; the same command goes on")
                break
    return 3 if failed else 0


def _asker(project: Project, selection: Selection) -> Ask:
    """Asks builds in guests of this machine, each in a run of its own."""
    from dataclasses import replace

    from matrix.invocation import run_matrix
    from matrix.report.text.progress import display
    from matrix.run.machines import Machines
    from vms.capacity import processors

    machines, terminal = Machines(project, "auto", selection.catalogue), console()

    def ask(plan: Plan, beside: Beside) -> tuple[Manifest, Sequence[Record]]:
        with display(terminal) as shown:
            request = run_request(project, plan, selection, machines, processors(), shown)
            result = run_matrix(replace(request, known=beside, left_out=()))
        keep(project.config.history, result.run)
        return result.analysis.table.manifest, result.analysis.records

    return ask
