"""Tasks that run guests to ask them experiments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from commands.shell import (
    JOBS,
    LOCK,
    RESULTS,
    ROOT,
    console,
    count,
    keep,
    print_json,
    reported,
    run_request,
    selected,
    soon_told,
    tidy,
)
from vms.program import COMMAND

if TYPE_CHECKING:
    from matrix.run.guests import Guests
    from matrix.run.machines import Machines

# Each task imports what it needs, so that listing the tasks does not load every library.


@task(
    iterable=["kernel", "experiment"],
    help={
        "kernel": "a kernel, for example 6.12 (repeatable; default: those of matrix.toml)",
        "experiment": (
            "a name or a glob, 'table-full[scope=root]' for some variants (repeatable; default: those of"
            " matrix.toml)"
        ),
        "jobs": f"{JOBS} (default: one per processor; fewer while memory is short)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what is in the cache",
        "locked": "use exactly the kernels of matrix.lock",
        "pristine": "ask each cell in a guest of its own, instead of many in one guest",
        "dry_run": "print the plan and the QEMU command lines, run nothing",
        "scheduler": "run the guests on the workers of this Dask scheduler: tls://host:8786",
        "without_authentication": "for a scheduler at tcp://: whoever reaches it can run programs as you",
        "json": "print every record as JSON instead of the table",
        "again": "also ask what an earlier run answered for the same kernel, code and machine",
        "backend": "qemu, or virtme: guests through virtme-ng, with this host's own userland",
    },
)
@reported
def matrix(
    _context: Context,
    kernel: list[str],
    experiment: list[str],
    jobs: str | None = None,
    accel: str = "auto",
    offline: bool = False,
    locked: bool = False,
    pristine: bool = False,
    dry_run: bool = False,
    scheduler: str = "",
    without_authentication: bool = False,
    json: bool = False,
    again: bool = False,
    backend: str = "qemu",
) -> int:
    """Boot kernels, run every experiment on each, print the table and write the report."""
    from matrix.invocation import run_matrix
    from matrix.plan.plan import plan_choices
    from matrix.plan.project import Project
    from matrix.report.text.dry_run import plan_text
    from matrix.report.text.forecast import forecast_lines
    from matrix.report.text.progress import display
    from matrix.report.text.terminal import print_result
    from matrix.run.machines import Machines
    from matrix.run.virtme import machines_of
    from vms.kernels import lock

    at_a_time = _at_a_time(jobs, accel, scheduler, authenticated=not without_authentication, backend=backend)
    project = Project.open(ROOT, offline=offline)
    choices = project.choices(experiment)
    selection = selected(project, project.specs(kernel), lock.read(LOCK) if locked else None)
    plan = plan_choices(selection.kernels, choices)
    machines = machines_of(backend, project, accel, selection.catalogue)
    expected = machines.forecast(plan, RESULTS, at_a_time)
    lines = forecast_lines(expected, project.cache.root)
    if dry_run:
        print(plan_text(plan, lines, machines.command), end="")
        return 0
    terminal = console(errors=json)
    far = None
    if scheduler and isinstance(machines, Machines):
        far = _workers(machines, scheduler, authenticated=not without_authentication)
    with display(terminal) as shown, far or nullcontext((machines, at_a_time)) as (guests, slots):
        if expected.fetch and not scheduler:  # workers fetch what they lack
            shown.note("\n".join(lines))
        request = run_request(project, plan, selection, guests, slots, shown, again=again, pristine=pristine)
        result = run_matrix(request)
    keep(project.config.history, result.run)
    tidy(project.config.cache.size)
    print_json(result.analysis.records) if json else print_result(result.analysis, result.page, terminal)
    return result.analysis.exit_code


@task(
    positional=["run", "cell"],
    help={
        "run": "a run: its name under results/, its directory, or latest",
        "cell": "the cell's directory under the run's cells/: KERNEL/EXPERIMENT or KERNEL/EXPERIMENT/VARIANT",
        "accel": "auto, kvm or tcg (default: what the run used)",
        "offline": "use only what is in the cache",
        "json": "print both records as JSON",
    },
)
@reported
def replay(
    _context: Context, run: str, cell: str, accel: str = "", offline: bool = False, json: bool = False
) -> int:
    """Ask one cell of a run again, of the same build, and say whether the answer is the same."""
    from matrix.plan.project import Project
    from matrix.replay import find_cell
    from matrix.replay import replay as replayed
    from matrix.report.text.replayed import print_replay
    from matrix.run.virtme import machines_of
    from vms.accel import check_request

    check_request(accel or "auto")
    asked = find_cell(RESULTS, run, cell)
    project = Project.open(ROOT, offline=offline)
    around = asked.manifest.surroundings
    machines = machines_of(around.backend, project, accel or around.accelerator)
    (kernel,) = project.select(project.specs([asked.spec])).kernels
    done = replayed(asked, asked.cell(kernel, project.experiments), machines)
    if json:
        print_json({"before": done.before, "after": done.after, "changed": done.changed})
    else:
        print_replay(done, console())
    return done.exit_code


@task(
    positional=["experiment"],
    iterable=["kernel"],
    help={
        "experiment": "a name or a glob, 'table-full[scope=root]' for some variants",
        "kernel": "a kernel, for example 6.12 (repeatable; default: those of matrix.toml)",
        "jobs": f"{JOBS} (default: one per processor; fewer while memory is short)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what is in the cache",
    },
)
@reported
def watch(
    _context: Context,
    experiment: str,
    kernel: list[str],
    jobs: str | None = None,
    accel: str = "auto",
    offline: bool = False,
) -> int:
    """Ask an experiment again whenever its file is saved, and show what changed; Ctrl-C ends it."""
    from matrix.plan.project import Project
    from matrix.report.text.watched import print_turn
    from matrix.run.machines import Machines
    from matrix.watch import Watch, Watched

    at_a_time = _at_a_time(jobs, accel, "", authenticated=True)
    project = Project.open(ROOT, offline=offline)
    watched = Watched.of([experiment], project.choices([experiment]))
    selection = selected(project, project.specs(kernel))
    machines = Machines(project, accel, selection.catalogue)
    names = ", ".join(kernel.name for kernel in selection.kernels)
    turns = Watch(watched, selection.kernels, machines, at_a_time).turns()
    try:
        with closing(turns):
            with soon_told(f"preparing {names}: a first boot takes a while"):
                machines.prepare(selection.kernels)
                first = next(turns)
            print_turn(first, console())
            print(f"watching {watched.file}; Ctrl-C ends", flush=True)
            for turn in turns:
                print_turn(turn, console())
    except KeyboardInterrupt:
        return 0
    return 0


def _at_a_time(
    jobs: str | None, accel: str, scheduler: str, *, authenticated: bool, backend: str = "qemu"
) -> int:
    """The number of guests at a time. Raises UsageError, before anything is fetched, if `jobs`,
    `accel` or the address of the scheduler cannot be used, or not with this backend.
    """
    from matrix.run.virtme import QEMU, check_backend
    from vms.accel import check_request
    from vms.capacity import processors
    from vms.errors import UsageError

    check_backend(backend)
    at_a_time = count("--jobs", jobs, JOBS) or processors()
    check_request(accel)
    if scheduler:
        from matrix.dask.identity import check_address

        if backend != QEMU:
            raise UsageError(
                f"--scheduler with --backend {backend}: the userland of such guests is this host's,"
                " not that of a worker"
            )
        if jobs:
            raise UsageError(
                f"--jobs with --scheduler: each worker sets its own limit ({COMMAND} worker --slots)"
            )
        check_address(scheduler, authenticated=authenticated)
    return at_a_time


@contextmanager
def _workers(machines: Machines, address: str, *, authenticated: bool) -> Iterator[tuple[Guests, int]]:
    """The guests of a scheduler's workers, and how many run at a time."""
    from matrix.dask.executor import connected
    from matrix.dask.site import WorkerMachines

    source = WorkerMachines.of(machines)
    with connected(address, source, lambda: machines.image, authenticated=authenticated) as workers:
        yield workers, workers.slots
