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
    tidy,
)

if TYPE_CHECKING:
    from matrix.plan.project import Project
    from vms.kernels.kernel import Kernel

# Each task imports what it needs, so that listing the tasks does not load every library.


@task(
    positional=["fact", "old", "new"],
    help={
        "fact": "'EXPERIMENT[VARIANT]:FACT', for example 'max-zero[scope=root]:write'",
        "old": "the build where the range begins: a series (its newest), a release or a version",
        "new": "the build where it ends",
        "find_fix": "look for the first build that no longer shows what the old one does",
        "ask_again": "ask all builds, also those with answers of earlier runs or of the reference",
        "jobs": f"{JOBS} (default: one per processor; fewer while memory is short)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what is in the cache",
        "json": "print what was found as JSON",
        "markdown": "print it as Markdown, for an issue",
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
) -> None:
    """Find the two neighbouring builds between which a fact changes, and what came in between."""
    from matrix.analysis.ledger.read import read_ledger
    from matrix.bisect.target import parse_target
    from matrix.bisection import BisectRequest, builds_between, run_bisection
    from matrix.plan.project import Project
    from matrix.report.text.bisected import bisection_markdown, bisection_text
    from matrix.report.text.progress import display
    from matrix.run.machines import Machines
    from vms.accel import check_request
    from vms.capacity import processors
    from vms.kernels.resolve import unique

    check_request(accel)
    at_once = count("--jobs", jobs, JOBS) or processors()
    project = Project.open(ROOT, offline=offline)
    target = parse_target(fact, project.experiments)
    ends = _end(project, "OLD", old), _end(project, "NEW", new)
    kernels = builds_between(*ends, project.builds.kernels)
    gone = project.builds.gone if offline else project.find_gone(kernels)
    askable = unique(kernel for kernel in kernels if kernel.id not in gone or kernel in ends)
    with display(console(errors=True)) as shown:
        request = BisectRequest(
            target,
            askable,
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
    if found.run:
        keep(project.config.history, RESULTS / found.run)
        tidy(project.config.cache.size)
    if json:
        print_json(found)
    else:
        print((bisection_markdown if markdown else bisection_text)(found), end="")


def _end(project: Project, which: str, text: str) -> Kernel:
    """The one build that an end of the range means. Raises UsageError."""
    from dataclasses import replace

    from vms.errors import UsageError
    from vms.kernels.resolve import own_name, resolve
    from vms.kernels.spec import parse

    found = resolve(parse(text, which), project.builds, project.root)
    if len(found) != 1:
        raise UsageError(
            f"{which} {text!r} means {len(found)} builds; give one, for example {found[0].version}"
        )
    return replace(found[0], name=own_name(found[0]))
