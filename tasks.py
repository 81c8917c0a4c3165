"""The tasks of `./invoke`: each parses flags, calls one function and prints."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from vms.errors import MatrixError

# What a task needs is imported within it: listing the tasks must not wait for libraries that none of them uses.

ROOT = Path(__file__).parent
RESULTS = ROOT / "results"
INTERRUPTED = 130  # as a shell reports SIGINT


def reported(body: Callable[..., int | None]) -> Callable[..., None]:
    """Turns errors into one message and an exit code, and whatever asks us to stop into the same quick end."""

    @functools.wraps(body)
    def run(*arguments: Any, **flags: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            code = body(*arguments, **flags) or 0
            sys.stdout.flush()
        except MatrixError as error:
            print(f"error: {error}", file=sys.stderr)
            code = error.exit_code
        except KeyboardInterrupt:
            print("interrupted; the next run goes on from here", file=sys.stderr)
            code = INTERRUPTED
        except BrokenPipeError:  # the reader of our output has seen enough: `./invoke kernels | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        if code == INTERRUPTED and threading.active_count() > 1:
            os._exit(code)  # a thread that is still stuck would hold us
        sys.exit(code)

    return run


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=10_000)


def _print_table(columns: list[str], rows: list[list[str]], right: tuple[str, ...] = ()) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(word) for word in row))
    _console().print(table)


def _print_json(value: object) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


@task(
    iterable=["kernel", "experiment"],
    help={
        "kernel": "a kernel, for example 6.12 (repeatable; default: those of matrix.toml)",
        "experiment": "an experiment's name or a glob (repeatable; default: those of matrix.toml)",
        "jobs": "guests at a time (default: one per processor)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what the cache holds",
        "dry_run": "print the plan and the QEMU command lines, run nothing",
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
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Boot kernels, ask them every question, print and write the table."""
    from guest.catalogue import load
    from matrix.config import read_config
    from matrix.invocation import run_matrix
    from matrix.machines import Machines
    from matrix.plan import choose_experiments, make_plan
    from matrix.report.dry_run import plan_text
    from matrix.report.progress import display
    from matrix.report.terminal import print_failures, print_table, summary
    from vms.cache import Cache
    from vms.errors import UsageError
    from vms.kernels import Catalogue, resolve_all

    if jobs < 0:
        raise UsageError(f"--jobs {jobs}: give the number of guests to run at a time, at least 1")
    config = read_config(ROOT / "matrix.toml")
    catalogue = load()
    experiments = choose_experiments(experiment or config.experiments, catalogue)
    cache = Cache.default()
    kernels = resolve_all(kernel or config.kernels, Catalogue.load(config.debian, cache, offline=offline), ROOT)
    plan = make_plan(kernels, experiments)
    machines = Machines(config.debian, cache, accel, offline)
    if dry_run:
        print(plan_text(plan, machines.command), end="")
        return 0
    console = _console()
    with display(console) as shown:
        result = run_matrix(plan, catalogue, machines, RESULTS, jobs or os.cpu_count() or 1, sys.argv[1:], shown)
    if json:
        _print_json([record for row in result.table.rows for record in row.records if record])
    else:
        print_table(result.table, console)
        print_failures(result.table, console)
        console.print(f"{summary(result.table)}\n{result.page}", soft_wrap=True)
    return result.exit_code


@task(help={"json": "print them as JSON", "offline": "use the package lists that the cache holds"})
@reported
def kernels(_context: Context, json: bool = False, offline: bool = False) -> None:
    """List every kernel that the configured suites hold."""
    from matrix.config import read_config
    from vms.cache import Cache
    from vms.kernels import Catalogue, cached

    cache = Cache.default()
    catalogue = Catalogue.load(read_config(ROOT / "matrix.toml").debian, cache, offline=offline)
    newest = {catalogue.newest(kernel.series, kernel.flavour) for kernel in catalogue.kernels}
    listed: list[dict[str, Any]] = [
        {
            "series": kernel.series,
            "release": kernel.release,
            "flavour": kernel.flavour,
            "version": kernel.version,
            "suite": kernel.suite,
            "size": kernel.size,
            "cached": cached(kernel, cache),
            "newest": kernel in newest,
            "id": kernel.id,
        }
        for kernel in catalogue.kernels
    ]
    if json:
        _print_json(listed)
        return
    columns = ["series", "release", "flavour", "package version", "suite", "MB", "cached", "newest of series"]
    rows = [
        [
            k["series"],
            k["release"],
            k["flavour"],
            k["version"],
            k["suite"],
            f"{k['size'] / 1e6:.0f}",
            _tick(k["cached"]),
            _tick(k["newest"]),
        ]
        for k in listed
    ]
    _print_table(columns, rows, right=("MB",))


@task(help={"json": "print all that is declared as JSON"})
@reported
def experiments(_context: Context, json: bool = False) -> None:
    """List every experiment with the question it asks."""
    from guest.catalogue import load
    from matrix.plan import variant_name

    catalogue = load().values()
    if json:
        _print_json(
            [
                {
                    "name": experiment.name,
                    "topic": experiment.topic,
                    "question": experiment.question,
                    "doc": experiment.doc,
                    "facts": [{"name": fact.name, "type": fact.type.__name__, "meaning": fact.meaning} for fact in experiment.facts],
                    "invariants": [invariant.text for invariant in experiment.invariants],
                    "variants": experiment.combinations(),
                    "modules": experiment.modules,
                }
                for experiment in catalogue
            ]
        )
        return
    rows = []
    for experiment in catalogue:
        parameters = variant_name({name: "/".join(values) for name, values in experiment.variants.items()})
        rows.append([experiment.name, experiment.topic, parameters, experiment.question])
    _print_table(["experiment", "topic", "variants", "question"], rows)


@task(help={"accel": "auto, kvm or tcg"})
@reported
def doctor(_context: Context, accel: str = "auto") -> int:
    """Say what this host has, what is missing, and which accelerator is used and why."""
    from matrix.config import read_config
    from vms.cache import Cache
    from vms.doctor import examine

    findings = list(examine(ROOT / "debian-packages.txt", read_config(ROOT / "matrix.toml").debian, Cache.default()))
    for finding in findings:
        print(f"{'ok  ' if finding.good else 'BAD '} {finding.what}: {finding.found}")
        if not finding.good:
            print(f"       {finding.advice}")
    return 0 if all(finding.good for finding in findings) else 3


CHECKS = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy",),
    ("pytest",),
)


@task
@reported
def test(_context: Context) -> int:
    """Run lint, types, and the unit, guest and browser tests."""
    import subprocess

    for check in CHECKS:
        print(f"$ {' '.join(check)}", flush=True)
        code = subprocess.run([Path(sys.executable).parent / check[0], *check[1:]], cwd=ROOT, check=False).returncode
        if code:
            return code
    return 0


def _tick(yes: object) -> str:
    return "yes" if yes else ""
