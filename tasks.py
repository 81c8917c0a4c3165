"""The tasks of `./invoke`: each parses flags, calls one function and prints."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from vms.errors import MatrixError

# What a task needs is imported within it: listing the tasks must not wait for libraries that none of them uses.

ROOT = Path(__file__).parent
RESULTS = ROOT / "results"
BASELINE = ROOT / "matrix.baseline.json"
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
        if code == INTERRUPTED and not _threads_end(seconds=1.0):
            os._exit(code)  # one that is still stuck would hold us
        sys.exit(code)

    return run


def _threads_end(seconds: float) -> bool:
    until = time.monotonic() + seconds
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread() and not thread.daemon]
    for thread in others:
        thread.join(max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in others)


def _console(*, errors: bool = False) -> Any:
    from rich.console import Console

    console = Console(highlight=False, stderr=errors)
    return console if console.is_terminal else Console(highlight=False, stderr=errors, width=10_000)


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
    console = _console(errors=json)
    with display(console) as shown:
        result = run_matrix(plan, catalogue, machines, RESULTS, jobs or os.cpu_count() or 1, sys.argv[1:], shown)
    _keep(config.history, result.run)
    if json:
        _print_json(result.records)
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


@task(
    help={
        "fact": "the fact (`history FACT` will do), for example mangle_packets or table-full.mangle_packets; without one all are listed",
        "rebuild": "make the database anew from the run directories first",
        "database": "another database than that of matrix.toml: postgresql://... or sqlite:///FILE",
        "json": "print the fact's way as JSON, draw nothing",
    },
)
@reported
def history(_context: Context, fact: str = "", rebuild: bool = False, database: str = "", json: bool = False) -> None:
    """Show a fact across runs and builds."""
    from matrix.config import read_config
    from matrix.history import rebuild as files
    from matrix.history.database import database_url, open_database
    from matrix.history.plot import plot
    from matrix.history.query import fact_names, timeline
    from matrix.history.show import table
    from matrix.store import write_whole

    with open_database(database_url(database or read_config(ROOT / "matrix.toml").history, RESULTS), anew=rebuild) as engine:
        if rebuild:
            done = files.rebuild(engine, RESULTS)
            print("\n".join([f"recorded {done.runs} runs", *(f"left out: {reason}" for reason in done.left_out)]), file=sys.stderr)
        if not fact:
            names = fact_names(engine)
            _print_json(names) if json else print("\n".join(names))
            return
        lines = timeline(engine, fact)
    if json:
        _print_json(lines)
        return
    picture = RESULTS / "history" / f"{fact}.svg"
    write_whole(picture, plot(lines).encode())
    _console().print(table(lines))
    print(picture)


@task(
    help={
        "jobs": "guests at a time (default: one per processor)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what the cache holds",
        "locked": "use the kernels of matrix.lock instead of the newest",
        "json": "print the night as JSON instead of ten lines",
    }
)
@reported
def nightly(_context: Context, jobs: int = 0, accel: str = "auto", offline: bool = False, locked: bool = False, json: bool = False) -> int:
    """Run what is new and a sample of the rest, compare with the accepted baseline, say in ten lines what came of it."""
    from datetime import UTC, datetime

    from guest.catalogue import load
    from matrix.baseline import read_baseline
    from matrix.config import read_config
    from matrix.ledger.read import read_ledger
    from matrix.machines import Machines
    from matrix.nightly import Workshop
    from matrix.nightly import nightly as run_night
    from matrix.plan import choose_experiments, make_plan
    from matrix.report.night import summary
    from matrix.report.progress import display
    from vms.cache import Cache
    from vms.kernels import Catalogue, lock, resolve_all

    config = read_config(ROOT / "matrix.toml")
    catalogue = load()
    cache = Cache.default()
    builds = Catalogue.load(config.debian, cache, offline=offline, max_age=0)
    held = lock.read(ROOT / "matrix.lock") if (ROOT / "matrix.lock").exists() or locked else None
    kernels = lock.kernels(held, config.kernels, ROOT, builds) if held and locked else resolve_all(config.kernels, builds, ROOT)
    since = tuple(kernel.name for kernel in lock.new_since(held, kernels)) if held else ()
    plan = make_plan(kernels, choose_experiments(config.experiments, catalogue))
    # What is printed may become a mail, so the progress goes elsewhere.
    with display(_console(errors=True)) as shown:
        machines = Machines(config.debian, cache, accel, offline)
        shop = Workshop(plan, catalogue, machines, RESULTS, jobs or os.cpu_count() or 1, tuple(sys.argv[1:]), shown, since)
        night = run_night(shop, read_baseline(BASELINE), read_ledger(), datetime.now(UTC).date())
    if night.run:
        _keep(config.history, RESULTS / night.run)
    _print_json(night) if json else print(summary(night))
    return night.exit_code


@task(
    help={
        "run": "accept this run's answers (a directory under results/; default: all that nightly runs have answered)",
        "why": "why these answers are right",
        "who": "who says so (default: as git knows you)",
    },
)
@reported
def accept(_context: Context, run: str = "", why: str = "", who: str = "") -> None:
    """Move the accepted baseline that nightly runs are compared with."""
    from matrix.baseline import accept as accepted
    from matrix.baseline import read_baseline, whoami, write_baseline
    from matrix.known import Known, read_finished, read_known
    from matrix.store import now

    baseline = read_baseline(BASELINE)
    known = Known().with_run(*read_finished(RESULTS / run)) if run else read_known(RESULTS, baseline.known, _complain)
    moved = accepted(baseline, known, who or whoami(ROOT), now(), why)
    write_baseline(BASELINE, moved)
    last = moved.acceptances[-1]
    print(f"{last.cells} cells accepted by {last.who}: {last.why}\n{BASELINE}")


@task(
    positional=["older", "newer"],
    help={
        "older": "the kernel you have: a series, release or name that a run has asked",
        "newer": "the kernel you go to",
        "json": "print the story as JSON",
    },
)
@reported
def upgrade(_context: Context, older: str, newer: str, json: bool = False) -> int:
    """Tell what an upgrade from one kernel to another changes, gravest first, from what the runs saw and the ledger knows."""
    from guest.catalogue import load
    from matrix.ledger.read import read_ledger
    from matrix.report.story import story_text
    from matrix.upgrade import read_answers
    from matrix.upgrade import upgrade as told

    answers = read_answers(RESULTS)
    story = told(answers, answers.pick(older), answers.pick(newer), read_ledger(), load())
    console = _console()
    _print_json(story) if json else print(story_text(story, console.width if console.is_terminal else 0), end="")
    return story.exit_code


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
    from matrix.report.export import export as exported
    from matrix.store import write_whole

    content = exported(form, RESULTS / run)
    if output:
        write_whole(Path(output).resolve(), content)
    else:
        sys.stdout.buffer.write(content)


@task(help={"accel": "auto, kvm or tcg"})
@reported
def doctor(_context: Context, accel: str = "auto") -> int:
    """Say what this host has, what is missing, and which accelerator is used and why."""
    from matrix.config import read_config
    from matrix.doctor import examine

    good = True
    for finding in examine(ROOT, read_config(ROOT / "matrix.toml"), accel):
        print(f"{'ok ' if finding.good else 'BAD'}  {finding.what}: {finding.found}", flush=True)
        if not finding.good:
            print(f"     {finding.advice}")
        good = good and finding.good
    return 0 if good else 3


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


def _keep(setting: str, run: Path) -> None:
    """Records the run in the history; what goes wrong there is said and changes nothing else."""
    from matrix.history.keep import keep

    if complaint := keep(setting, RESULTS, run):
        _complain(complaint)


def _complain(text: str) -> None:
    print(text, file=sys.stderr)


def _tick(yes: object) -> str:
    return "yes" if yes else ""
