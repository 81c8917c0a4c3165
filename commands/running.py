"""Tasks that run guests."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from commands.shell import BASELINE, LOCK, RESULTS, ROOT, complain, console, keep, print_json, reported, tidy

if TYPE_CHECKING:
    from matrix.run.guests import Guests
    from vms.cache import Cache
    from vms.kernels.catalogue import Catalogue
    from vms.kernels.kernel import Kernel
    from vms.kernels.lock import Lock
    from vms.settings import Debian

# What a task needs is imported within it: listing the tasks must not wait for libraries that none
# of them uses.


@task(
    iterable=["kernel", "experiment"],
    help={
        "kernel": "a kernel, for example 6.12 (repeatable; default: those of matrix.toml)",
        "experiment": (
            "a name or a glob, 'table-full[scope=root]' for some variants (repeatable; default: those of"
            " matrix.toml)"
        ),
        "jobs": "guests that compute at a time (default: one per processor; fewer while memory is short)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what the cache holds",
        "locked": "use exactly the kernels of matrix.lock",
        "dry_run": "print the plan and the QEMU command lines, run nothing",
        "scheduler": "let the workers of this Dask scheduler run the guests: tls://host:8786",
        "without_authentication": "for a scheduler at tcp://: whoever reaches it can run programs as you",
        "json": "print every record as JSON instead of the table",
    },
)
@reported
def matrix(
    _context: Context,
    kernel: list[str],
    experiment: list[str],
    jobs: int = 0,
    accel: str = "auto",
    offline: bool = False,
    locked: bool = False,
    dry_run: bool = False,
    scheduler: str = "",
    without_authentication: bool = False,
    json: bool = False,
) -> int:
    """Boot kernels, ask them every question, print and write the table."""
    from matrix.analysis.ledger.read import read_ledger
    from matrix.invocation import RunRequest, run_matrix
    from matrix.plan.catalogue import own_directory, read_catalogue
    from matrix.plan.config import read_config
    from matrix.plan.plan import plan_choices
    from matrix.plan.selection import choose
    from matrix.report.text.dry_run import plan_text
    from matrix.report.text.progress import display
    from matrix.report.text.terminal import print_failures, print_table, print_unexplained, summary
    from matrix.run.machines import Machines
    from vms.cache import Cache
    from vms.capacity import processors
    from vms.errors import UsageError
    from vms.kernels import lock
    from vms.kernels.catalogue import Catalogue

    if jobs < 0:
        raise UsageError(f"--jobs {jobs}: give the number of guests to run at a time, at least 1")
    if jobs and scheduler:
        raise UsageError(
            "--jobs with --scheduler: how many guests run on a machine is for its worker to say (./invoke"
            " worker --slots)"
        )
    config = read_config(ROOT / "matrix.toml")
    own = own_directory(config.own_experiments, ROOT)
    catalogue = read_catalogue(own)
    chosen = choose(experiment or config.experiments, catalogue)
    cache = Cache.default()
    builds = Catalogue.load(config.debian, cache, offline=offline)
    specs = kernel or config.kernels
    builds, kernels, absent = kernels_to_ask(
        specs, builds, config.debian, cache, lock.read(LOCK) if locked else None, offline=offline
    )
    plan = plan_choices(kernels, chosen)
    machines = Machines(config.debian, cache, accel, offline, builds, own)
    if dry_run:
        print(plan_text(plan, machines.command), end="")
        return 0
    shown_on = console(errors=json)
    with display(shown_on) as shown, ExitStack() as held:
        guests: Guests = machines
        if scheduler:
            from matrix.dask.executor import connected
            from matrix.dask.site import WorkerMachines

            source = WorkerMachines(config.debian, accel, offline, config.own_experiments)
            guests = workers = held.enter_context(
                connected(scheduler, source, lambda: machines.image, authenticated=not without_authentication)
            )
            jobs = workers.slots
        command, jobs = tuple(sys.argv[1:]), jobs or processors()
        request = RunRequest(plan, catalogue, read_ledger(), guests, RESULTS, jobs, command, shown, absent)
        result = run_matrix(request)
    keep(config.history, result.run)
    tidy(config.cache.size)
    if json:
        print_json(result.analysis.records)
    else:
        print_table(result.analysis.table, shown_on)
        print_failures(result.analysis.table, shown_on)
        print_unexplained(result.analysis, shown_on)
        shown_on.print(f"{summary(result.analysis.table)}\n{result.page}", soft_wrap=True, markup=False)
    return result.analysis.exit_code


@task(
    help={
        "jobs": "guests that compute at a time (default: one per processor; fewer while memory is short)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what the cache holds",
        "locked": "use the kernels of matrix.lock instead of the newest",
        "json": "print the night as JSON instead of ten lines",
    }
)
@reported
def nightly(
    _context: Context,
    jobs: int = 0,
    accel: str = "auto",
    offline: bool = False,
    locked: bool = False,
    json: bool = False,
) -> int:
    """Run what is new and a sample of the rest, compare with the accepted baseline, say in ten
    lines what came of it.
    """
    from datetime import UTC, datetime

    from matrix.analysis.ledger.read import read_ledger
    from matrix.baseline.baseline import read_baseline
    from matrix.invocation import RunRequest
    from matrix.nightly.nightly import nightly as run_night
    from matrix.plan.catalogue import own_directory, read_catalogue
    from matrix.plan.config import read_config
    from matrix.plan.plan import plan_choices
    from matrix.plan.selection import choose
    from matrix.report.text.night import summary
    from matrix.report.text.progress import display
    from matrix.run.machines import Machines
    from vms.cache import Cache
    from vms.capacity import processors
    from vms.kernels import lock
    from vms.kernels.catalogue import Catalogue

    config = read_config(ROOT / "matrix.toml")
    own = own_directory(config.own_experiments, ROOT)
    catalogue = read_catalogue(own)
    cache = Cache.default()
    builds = Catalogue.load(config.debian, cache, offline=offline, max_age=0)
    held = lock.read(LOCK) if LOCK.exists() or locked else None
    builds, kernels, absent = kernels_to_ask(
        config.kernels, builds, config.debian, cache, held if locked else None, offline=offline
    )
    since = (
        tuple(
            kernel.name
            for kernel in lock.new_since(held, kernels_meant(config.kernels, builds) if locked else kernels)
        )
        if held
        else ()
    )
    plan = plan_choices(kernels, choose(config.experiments, catalogue))
    # What is printed may become a mail, so the progress goes elsewhere.
    with display(console(errors=True)) as shown:
        machines = Machines(config.debian, cache, accel, offline, builds, own)
        request = RunRequest(
            plan,
            catalogue,
            read_ledger(),
            machines,
            RESULTS,
            jobs or processors(),
            tuple(sys.argv[1:]),
            shown,
            absent,
        )
        today = datetime.now(UTC).date()
        night = run_night(request, read_baseline(BASELINE), today, since_lock=since, locked=locked)
    if night.run:
        keep(config.history, RESULTS / night.run)
        tidy(config.cache.size)
    print_json(night) if json else print(summary(night))
    return night.exit_code


def kernels_to_ask(
    specs: Sequence[str],
    builds: Catalogue,
    settings: Debian,
    cache: Cache,
    held: Lock | None,
    *,
    offline: bool,
) -> tuple[Catalogue, tuple[Kernel, ...], tuple[str, ...]]:
    """The builds as far as is known now, the kernels to ask, and the versions of those left out
    because they are gone, which is said.

    With a lock `held` the kernels are the lock's, and nobody is asked what there is.
    """
    from vms.kernels import lock
    from vms.kernels.gone import at_hand
    from vms.kernels.resolve import left_out, left_out_text, resolve_all

    if held:
        return builds, lock.kernels(held, specs, ROOT, builds), ()
    if not offline:
        builds = at_hand(specs, builds, settings, cache)
    kernels = resolve_all(specs, builds, ROOT)
    absent = left_out(specs, builds, kernels)
    if absent:
        complain(left_out_text(absent, builds))
    return builds, kernels, tuple(kernel.version for kernel in absent)


def kernels_meant(specs: Iterable[str], builds: Catalogue) -> tuple[Kernel, ...]:
    """What the specs mean now; none for one that means nothing any more, as a locked build that the
    archive has dropped.
    """
    from vms.errors import UsageError
    from vms.kernels.resolve import resolve_all

    found: list[Kernel] = []
    for spec in specs:
        with suppress(UsageError):
            found += resolve_all([spec], builds, ROOT)
    return tuple(found)


@task(
    help={
        "run": (
            "accept this run's answers (a directory under results/; default: all that nightly runs have"
            " answered)"
        ),
        "why": "why these answers are right",
        "who": "who says so (default: as git knows you)",
    },
)
@reported
def accept(_context: Context, run: str = "", why: str = "", who: str = "") -> None:
    """Move the accepted baseline that nightly runs are compared with."""
    from matrix.baseline.baseline import accept as accepted
    from matrix.baseline.baseline import read_baseline, whoami, write_baseline
    from matrix.results.directory import now
    from matrix.results.latest import LatestAnswers, read_finished, read_latest

    baseline = read_baseline(BASELINE)
    known = (
        LatestAnswers().with_run(*read_finished(RESULTS / run))
        if run
        else read_latest(RESULTS, baseline.known, complain)
    )
    moved = accepted(baseline, known, who or whoami(ROOT), now(), why)
    write_baseline(BASELINE, moved)
    last = moved.acceptances[-1]
    print(f"{last.cells} cells accepted by {last.who}: {last.why}\n{BASELINE}")
