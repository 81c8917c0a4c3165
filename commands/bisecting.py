"""Tasks that find where a fact changes: over builds, and in a git repository."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from commands.shell import (
    JOBS,
    RESULTS,
    ROOT,
    complain,
    console,
    count,
    keep,
    print_json,
    reported,
    run_request,
    tidy,
)

if TYPE_CHECKING:
    from matrix.bisect.entry import EntryCommit
    from matrix.bisect.outcome import Bisection
    from matrix.bisect.target import Target
    from matrix.plan.project import Project
    from matrix.results.record import FactValue
    from vms.kernels.kernel import Kernel
    from vms.kernels.spec import Spec

# Each task imports what it needs, so that listing the tasks does not load every library.

_ANOTHER, _UNKNOWN, _STOP = 1, 125, 128
"""What `git bisect run` takes for bad, for a commit to skip, and for the end of the bisection."""


@task(
    positional=["fact", "old", "new"],
    help={
        "fact": "'EXPERIMENT[VARIANT]:FACT', for example 'inwindow-rst[family=ipv4,offset=inside]:lifetime'",
        "old": "the build where the range begins: a series (its newest), a release or a version",
        "new": "the build where it ends",
        "find_fix": "look for the first build that no longer shows what the old one does",
        "ask_again": "ask all builds, also those with answers of earlier runs or of the reference",
        "jobs": f"{JOBS} (default: one per processor; fewer while memory is short)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what is in the cache",
        "json": "print what was found as JSON",
        "markdown": "print it as Markdown, for an issue",
        "entry": (
            "add to the ledger that this commit made the change: a key of the ledger, or 'KEY=MAINLINE TITLE'"
        ),
    },
)
@reported
def bisect(
    _context: Context,
    fact: str,
    old: str,
    new: str,
    find_fix: bool = False,
    ask_again: bool = False,
    jobs: str | None = None,
    accel: str = "auto",
    offline: bool = False,
    json: bool = False,
    markdown: bool = False,
    entry: str = "",
) -> None:
    """Find the two neighbouring builds between which a fact changes, and what came in between."""
    from matrix.analysis.ledger.read import read_ledger
    from matrix.bisect.entry import parse_commit
    from matrix.bisect.target import parse_target
    from matrix.bisection import BisectRequest, run_bisection
    from matrix.plan.project import Project
    from matrix.report.text.progress import display
    from matrix.run.machines import Machines
    from vms.accel import check_request
    from vms.capacity import processors
    from vms.kernels.spec import parse

    check_request(accel)
    at_once = count("--jobs", jobs, JOBS) or processors()
    named = parse_commit(entry) if entry else None
    project = Project.open(ROOT, offline=offline)
    target = parse_target(fact, project.experiments)
    kernels = _range(project, parse(old, "OLD"), parse(new, "NEW"))
    with display(console(errors=True)) as shown:
        request = BisectRequest(
            target,
            kernels,
            project.experiments,
            project.code,
            read_ledger(),
            Machines(project, accel, project.builds),
            project.cache,
            RESULTS,
            at_once,
            tuple(sys.argv[1:]),
            shown,
            find_fix,
            ask_again,
            offline,
        )
        found = run_bisection(request, complain)
    _print(found, json=json, markdown=markdown)
    _keep(found, project, named)


def _keep(found: Bisection, project: Project, named: EntryCommit | None) -> None:
    """Records the run that asked, if one did, and in the ledger the commit that the user named."""
    from matrix.analysis.ledger.read import HERE
    from matrix.bisect.entry import write_entry

    if found.run:
        keep(project.config.history, RESULTS / found.run)
        tidy(project.config.cache.size)
    if named:
        commit = write_entry(found, named, HERE)
        complain(f"{HERE}: {commit.key} explains this now; say in its `sentence` what a user notices")


def _print(found: Bisection, *, json: bool, markdown: bool) -> None:
    from matrix.report.text.bisected import bisection_markdown, bisection_text

    if json:
        print_json(found)
    else:
        print((bisection_markdown if markdown else bisection_text)(found), end="")


def _range(project: Project, old: Spec, new: Spec) -> tuple[Kernel, ...]:
    """The builds from one end to the other that can be had, and both ends. Raises UsageError."""
    from matrix.bisection import builds_between
    from vms.kernels.fetch import cached
    from vms.kernels.resolve import unique

    ends = _end(project, "OLD", old), _end(project, "NEW", new)
    kernels = builds_between(*ends, project.builds.kernels)
    if project.offline:
        lacking = {kernel.id for kernel in kernels if not cached(kernel, project.cache)}
    else:
        lacking = set(project.find_gone(kernels))
    lacking -= {end.id for end in ends}
    return unique(kernel for kernel in kernels if kernel.id not in lacking)


def _end(project: Project, which: str, spec: Spec) -> Kernel:
    """The one build that an end of the range means. Raises UsageError."""
    from dataclasses import replace

    from vms.errors import UsageError
    from vms.kernels.resolve import own_name, resolve

    found = resolve(spec, project.builds, project.root)
    if len(found) != 1:
        raise UsageError(
            f"{which} {spec.text!r} means {len(found)} builds; give one, for example {found[0].version}"
        )
    return replace(found[0], name=own_name(found[0]))


@task(
    positional=["question"],
    help={
        "question": (
            "'EXPERIMENT[VARIANT]:FACT=VALUE', for example"
            " 'inwindow-rst[family=ipv4,offset=inside]:lifetime=10 s'"
        ),
        "kernel": "the kernel, for example tree:../linux or 6.12",
        "accel": "auto, kvm or tcg",
        "offline": "use only what is in the cache",
    },
)
@reported
def verdict(_context: Context, question: str, kernel: str, accel: str = "auto", offline: bool = False) -> int:
    """For `git bisect run`: exit with 0 if a fact has a value on a kernel, 1 if it has another.

    125 says that it is not known, and 128, which ends the bisection, that the question is wrong.
    """
    from matrix.bisect.target import parse_question
    from matrix.plan.project import Project
    from vms.accel import check_request
    from vms.errors import MatrixError, UsageError, plain_error
    from vms.kernels.spec import parse

    project = Project.open(ROOT, offline=offline)
    try:
        check_request(accel)
        target, wanted = parse_question(question, project.experiments)
        spec = parse(kernel, "--kernel")
    except UsageError as error:  # 2 would be taken for a bad commit
        complain(f"error: {error}")
        return _STOP
    try:
        return _verdict(project, target, wanted, spec, accel)
    except (MatrixError, OSError) as error:
        complain(f"not known: {plain_error(error)}")
        return _UNKNOWN


def _verdict(project: Project, target: Target, wanted: FactValue, spec: Spec, accel: str) -> int:
    """Asks the kernel, prints a line, and returns the exit code."""
    from matrix.analysis.fact_value import frozen
    from matrix.invocation import run_matrix
    from matrix.plan.plan import Choice, plan_choices
    from matrix.report.text.progress import display
    from matrix.report.words import in_words
    from matrix.run.machines import Machines

    selection = project.select([spec])
    if len(selection.kernels) != 1:
        complain(f"error: --kernel {spec.text!r} means {len(selection.kernels)} kernels; give one")
        return _STOP
    plan = plan_choices(selection.kernels, [Choice(target.experiment, (target.variant,))])
    machines = Machines(project, accel, selection.catalogue)
    with display(console(errors=True)) as shown:
        result = run_matrix(run_request(project, plan, selection, machines, 1, shown))
    keep(project.config.history, result.run)
    tidy(project.config.cache.size)
    (record,) = result.analysis.records
    value = target.value(record)
    if value is None:
        complain(f"not known: {record.kernel} is {record.status}: {record.reason or 'without a reason'}")
        return _UNKNOWN
    print(f"{record.kernel}: {target.label} is {in_words(value)}")
    return 0 if frozen(value) == frozen(wanted) else _ANOTHER
