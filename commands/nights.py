"""Tasks for nightly runs and the accepted answers they are compared with."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from commands.shell import (
    BASELINE,
    JOBS,
    LOCK,
    RESULTS,
    ROOT,
    complain,
    console,
    count,
    keep,
    print_json,
    reported,
    run_request,
    selected,
    tidy,
)

if TYPE_CHECKING:
    from matrix.baseline.outcome import Night
    from matrix.nightly.notify import Receiver

# Each task imports what it needs, so that listing the tasks does not load every library.


@task(
    iterable=["kernel", "experiment", "notify"],
    help={
        "kernel": "a kernel, for example 6.12 (repeatable; default: those of matrix.toml)",
        "experiment": "a name or a glob (repeatable; default: those of matrix.toml)",
        "jobs": f"{JOBS} (default: one per processor; fewer while memory is short)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what is in the cache",
        "locked": "use the kernels of matrix.lock instead of the newest",
        "json": "print the night as JSON instead of the summary",
        "notify": (
            "whom to tell: a URL for JSON, json:VARIABLE, slack:VARIABLE, mattermost:VARIABLE, matrix:URL or"
            " mail:ADDRESS; VARIABLE holds a URL in the environment (repeatable)"
        ),
        "only_unexplained": "notify only of changes that are not explained and failures not accepted",
    },
)
@reported
def nightly(
    _context: Context,
    kernel: list[str],
    experiment: list[str],
    notify: list[str],
    jobs: str | None = None,
    accel: str = "auto",
    offline: bool = False,
    locked: bool = False,
    json: bool = False,
    only_unexplained: bool = False,
) -> int:
    """Run what is new and a sample of the rest, and compare it with the accepted baseline."""
    from matrix.baseline.baseline import read_baseline
    from matrix.nightly.nightly import nightly as run_night
    from matrix.nightly.notify import read_receivers
    from matrix.plan.plan import plan_choices
    from matrix.plan.project import Project
    from matrix.report.text.night import summary
    from matrix.report.text.progress import display
    from matrix.run.machines import Machines
    from vms.accel import check_request
    from vms.capacity import processors
    from vms.kernels import lock

    receivers = read_receivers(notify, os.environ)
    check_request(accel)
    at_a_time = count("--jobs", jobs, JOBS) or processors()
    project = Project.open(ROOT, offline=offline, max_age=0)
    choices, specs = project.choices(experiment), project.specs(kernel)
    held = lock.read(LOCK) if LOCK.exists() or locked else None
    selection = selected(project, specs, held if locked else None)
    now = project.select_existing(specs) if locked else selection.kernels
    since = tuple(kernel.name for kernel in lock.new_since(held, now)) if held else ()
    # Standard output may be mailed, so progress goes to standard error.
    with display(console(errors=True)) as shown:
        plan = plan_choices(selection.kernels, choices)
        machines = Machines(project, accel, selection.catalogue)
        request = run_request(project, plan, selection, machines, at_a_time, shown)
        night = run_night(request, read_baseline(BASELINE), _today(), since_lock=since, locked=locked)
    if night.run:
        keep(project.config.history, RESULTS / night.run)
        tidy(project.config.cache.size)
    print_json(night) if json else print(summary(night))
    tell(night, receivers, only_unexplained=only_unexplained)
    return night.exit_code


def tell(night: Night, receivers: Sequence[Receiver], *, only_unexplained: bool) -> None:
    """Tells the receivers of the night. One that could not be told is a complaint, nothing more."""
    from matrix.nightly.notify import notify, worth_telling
    from matrix.report.export.notification import notification

    sys.stdout.flush()  # it may take a minute, and a reader has the summary before
    if receivers and (worth_telling(night) or not only_unexplained):
        for complaint in notify(receivers, notification(night)):
            complain(complaint)


def _today() -> date:
    return datetime.now(UTC).date()


@task(
    help={
        "run": (
            "accept the answers of this run (a directory under results/; default: the newest answers of all"
            " nightly runs)"
        ),
        "why": "why these answers are right",
        "who": "who accepts them (default: name and e-mail of git)",
    },
)
@reported
def accept(_context: Context, run: str = "", why: str = "", who: str = "") -> None:
    """Accept answers as the baseline that nightly runs are compared with."""
    from matrix.baseline.baseline import accept as accepted
    from matrix.baseline.baseline import read_baseline, whoami, write_baseline
    from matrix.report.words import counted
    from matrix.results.directory import find_run, now
    from matrix.results.latest import LatestAnswers, read_finished, read_latest

    baseline = read_baseline(BASELINE)
    known = (
        LatestAnswers().with_run(*read_finished(find_run(RESULTS, run)))
        if run
        else read_latest(RESULTS, baseline.known, complain)
    )
    moved = accepted(baseline, known, who or whoami(ROOT), now(), why)
    write_baseline(BASELINE, moved)
    last = moved.acceptances[-1]
    print(f"{counted(last.cells, 'cell')} accepted by {last.who}: {last.why}\n{BASELINE}")
