"""Tasks that read the results of runs."""

from __future__ import annotations

import re
import sys
from functools import cache

from invoke.context import Context
from invoke.tasks import task

from commands.shell import RESULTS, ROOT, complain, console, output_file, print_json, reported

# Each task imports what it needs, so that listing the tasks does not load every library.


@task(
    help={
        "fact": (
            "the fact (`history FACT` will do), for example mangle_packets, table-full.mangle_packets or"
            " 'table-full[scope=root]:mangle_packets'; default: list all facts"
        ),
        "rebuild": "re-create the database from the run directories first",
        "database": "another database than that of matrix.toml: postgresql://... or sqlite:///FILE",
        "json": "print the fact's history as JSON, draw nothing",
    },
)
@reported
def history(
    _context: Context, fact: str = "", rebuild: bool = False, database: str = "", json: bool = False
) -> int:
    """Show a fact across runs and builds."""
    from matrix.history import rebuild as files
    from matrix.history.database import SECONDS, database_url, open_database
    from matrix.history.query import fact_names, timeline
    from matrix.plan.config import config_of, read_config
    from matrix.report.history_plot import plot
    from matrix.report.text.history import table
    from matrix.report.words import counted
    from vms.deadline import Deadline
    from vms.errors import UsageError
    from vms.files import write_whole

    url = database_url(database or read_config(config_of(ROOT)).history, RESULTS)
    code = 0
    if rebuild:
        done = files.rebuild(url, RESULTS)
        complain(
            "\n".join(
                [f"recorded {counted(done.runs, 'run')}", *(f"left out: {why}" for why in done.left_out)]
            )
        )
        code = UsageError.exit_code if done.left_out else 0
    with open_database(url, Deadline(SECONDS, "reading the history")) as engine:
        if not fact:
            names = fact_names(engine)
            print_json(names) if json else print("\n".join(names))
            return code
        lines = timeline(engine, fact)
    if json:
        print_json(lines)
        return code
    picture = RESULTS / "history" / f"{re.sub(r'[^A-Za-z0-9_.=,-]+', '-', fact)}.svg"
    write_whole(picture, plot(lines).encode())
    console().print(table(lines))
    print(picture)
    return code


@task(
    help={
        "before": (
            "a kernel (its newest answers), a run (its name under results/ or its directory), or RUN:KERNEL"
        ),
        "after": "the same for the other side",
        "json": "print every fact as JSON, including equal ones",
    },
)
@reported
def compare(_context: Context, before: str, after: str, json: bool = False) -> int:
    """Compare two kernels, two runs, or a kernel in two runs, fact by fact."""
    from matrix.analysis.comparison import compare as compared
    from matrix.analysis.comparison import read_side
    from matrix.analysis.ledger.read import read_ledger
    from matrix.report.text.compared import print_comparison

    complain_once = cache(complain)  # both sides may be found in the same runs
    left, right = (read_side(spec, RESULTS, complain_once) for spec in (before, after))
    comparison = compared(left, right, read_ledger())
    print_json(comparison) if json else print_comparison(comparison, console())
    return comparison.exit_code


@task(
    positional=["older", "newer"],
    help={
        "older": "the kernel you have: a series, release or name with answers of a run",
        "newer": "the kernel to upgrade to",
        "json": "print the report as JSON",
        "markdown": "print it as Markdown, for a pull request or a ticket",
    },
)
@reported
def upgrade(_context: Context, older: str, newer: str, json: bool = False, markdown: bool = False) -> int:
    """Report what an upgrade from one kernel to another changes, most serious first."""
    from matrix.analysis.answers import read_answers
    from matrix.analysis.ledger.read import read_ledger
    from matrix.analysis.upgrade import upgrade as report_upgrade
    from matrix.plan.project import Project
    from matrix.report.text.upgrade import upgrade_markdown, upgrade_text

    catalogue = Project.open(ROOT).experiments
    answers = read_answers(RESULTS, complain)
    report = report_upgrade(answers, answers.pick(older), answers.pick(newer), read_ledger(), catalogue)
    if json:
        print_json(report)
    elif markdown:
        print(upgrade_markdown(report), end="")
    else:
        shown_on = console()
        print(upgrade_text(report, shown_on.width if shown_on.is_terminal else 0), end="")
    return report.exit_code


@task(
    positional=["form"],
    help={
        "form": "tap, csv, parquet or json",
        "run": "the run (a directory under results/; default: the newest)",
        "output": "the file to write (default: standard output)",
    },
)
@reported
def export(_context: Context, form: str, run: str = "latest", output: str = "") -> None:
    """Write a run for other programs: TAP for CI, CSV or Parquet for analysis, JSON."""
    from matrix.report.export.export import export as exported
    from matrix.results.directory import find_run
    from vms.files import write_whole

    target = output_file("--output", output) if output else None
    content = exported(form, find_run(RESULTS, run))
    if target:
        write_whole(target, content)
    else:
        sys.stdout.buffer.write(content)
