"""Tasks about the project itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from commands.shell import RESULTS, ROOT, print_json, print_table, reported, selected
from vms.program import COMMAND

# Each task imports what it needs, so that listing the tasks does not load every library.


TESTS = {
    "unit": ("tests/unit", "not slow"),
    "slow": ("tests/unit", "slow"),
    "guest": ("tests/guest", "guest"),
    "browser": ("tests/browser", "browser"),
}
"""Kinds of tests: their directory, and the marks that select them there."""

CONTROLLED = RESULTS / "reference" / "controls.json"
"""What controls changed."""
_SCRIPTS = ("matrix/report/templates/**/*.js", "docs/*.js", "eslint.config.mjs")
CHECKS = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy",),
    ("lint-imports",),
    ("eslint", "--max-warnings=0", *_SCRIPTS),
    ("prettier", "--check", *_SCRIPTS),
)
"""What is checked before the tests run."""


@task(
    help={
        "json": "print all declarations as JSON",
        "new": "write the skeleton of an experiment of this name",
    }
)
@reported
def experiments(_context: Context, json: bool = False, new: str = "") -> None:
    """List every experiment with its question."""
    from matrix.plan.catalogue import write_skeleton
    from matrix.plan.plan import variant_name
    from matrix.plan.project import Project

    project = Project.open(ROOT)
    found = project.experiments
    if new:
        path = write_skeleton(new, found, project.place_for_new)
        if settings := project.adopt():
            print(settings)
        print(f"{path}\nrun it with {COMMAND} matrix -k newest -e {new}")
        return
    known = found.values()
    if json:
        print_json(
            [
                {
                    "name": experiment.name,
                    "topic": experiment.topic,
                    "question": experiment.question,
                    "doc": experiment.doc,
                    "facts": [
                        {"name": fact.name, "type": fact.type.__name__, "meaning": fact.meaning}
                        for fact in experiment.facts
                    ],
                    "invariants": [invariant.text for invariant in experiment.invariants],
                    "variants": experiment.combinations(),
                    "modules": experiment.modules,
                }
                for experiment in known
            ]
        )
        return
    rows = []
    for experiment in known:
        parameters = variant_name({name: "/".join(values) for name, values in experiment.variants.items()})
        rows.append([experiment.name, experiment.topic, parameters, experiment.question])
    print_table(["experiment", "topic", "variants", "question"], rows)


@task
@reported
def catalogue(_context: Context) -> None:
    """Write docs/catalogue.md from the experiments."""
    from matrix.analysis.ledger.read import read_ledger
    from matrix.plan.catalogue import read_catalogue
    from matrix.report.text.catalogue import catalogue_page
    from vms.files import write_whole

    page = ROOT / "docs" / "catalogue.md"
    write_whole(page, catalogue_page(read_catalogue(None), read_ledger()).encode())
    print(page)


@task
@reported
def docs(_context: Context) -> None:
    """Build the documentation as a site, in dist/docs."""
    import tempfile

    from matrix.report.documentation import build_documentation

    with tempfile.TemporaryDirectory() as staged:
        print(build_documentation(ROOT, ROOT / "dist" / "docs", Path(staged)))


@task(
    iterable=["kernel", "experiment"],
    help={
        "kernel": "first ask this kernel, under controls, for facts without proof (repeatable)",
        "experiment": "of these experiments only: a name or a glob (repeatable; default: all of them)",
    },
)
@reported
def controls(_context: Context, kernel: list[str], experiment: list[str]) -> None:
    """Write docs/controls.md: what proves, for each fact, that it can take another value."""
    from vms.errors import UsageError

    if experiment and not kernel:
        raise UsageError("-e: give the kernel to ask as well, for example -k 6.12")
    for spec in kernel:
        _ask_under_controls(spec, experiment)
    print(write_controls())


def write_controls() -> Path:
    """Writes the page of what the record and controls prove, and returns its path."""
    from matrix.controls import proven, read_controls
    from matrix.plan.catalogue import read_catalogue
    from matrix.report.text.controls import controls_page
    from vms.files import write_whole

    page = ROOT / "docs" / "controls.md"
    found = proven(read_catalogue(None), RESULTS / "reference", read_controls(CONTROLLED))
    write_whole(page, controls_page(found).encode())
    return page


def _ask_under_controls(spec: str, experiment: list[str]) -> None:
    """Asks a kernel for proofs that are missing, and keeps what it finds after each experiment."""
    from contextlib import closing

    from matrix.analysis.controls import Proof
    from matrix.controls import Asked, keep_controls, proven, published_variant, read_controls, seek
    from matrix.plan.project import Project
    from matrix.report.words import counted
    from matrix.run.machines import Machines

    project = Project.open(ROOT)
    choices = project.choices(experiment)
    selection = selected(project, project.specs([spec]))
    machines = Machines(project, "auto", selection.catalogue)
    machines.prepare(selection.kernels)
    files = machines.fetch(selection.kernels[0])
    known = proven(project.experiments, RESULTS / "reference", read_controls(CONTROLLED))
    with closing(Asked(files.kernel, lambda hardware: machines.template(files, hardware))) as asked:
        for choice in choices:
            name = choice.experiment.name
            left = [one.fact for one in known if one.experiment == name and one.proof is Proof.NONE]
            if left:
                found = seek(choice.experiment, published_variant(choice.variants), left, asked)
                keep_controls(CONTROLLED, found, project.experiments)
                print(f"{name}: {len(found)} of {counted(len(left), 'fact')} proven", flush=True)


@task(help={"accel": "auto, kvm or tcg"})
@reported
def doctor(_context: Context, accel: str = "auto") -> int:
    """Report what this host has and lacks, and which accelerator runs would use and why."""
    from matrix.doctor import examine
    from matrix.plan.project import Project

    good = True
    for finding in examine(Project.open(ROOT), accel):
        print(f"{'ok ' if finding.good else 'BAD'}  {finding.what}: {finding.found}", flush=True)
        if not finding.good:
            print(f"     {finding.advice}")
        good = good and finding.good
    return 0 if good else 3


@task(
    iterable=["only"],
    help={
        "only": "run only these tests and no lint: unit (but slow ones), slow, guest or browser (repeatable)",
        "k": "run only tests whose name matches, as pytest's -k; no lint",
    },
)
@reported
def test(_context: Context, only: list[str], k: str | None = None) -> int:  # noqa: PT028 (a task)
    """Run lint, types, and the unit, guest and browser tests; pytest's summary is the last line."""
    import subprocess

    for check in chosen_checks(only, k):
        print(f"$ {' '.join(check)}", flush=True)
        code = subprocess.run([_program(check[0]), *check[1:]], cwd=ROOT, check=False).returncode
        if code:
            return code
    return 0


def _program(name: str) -> Path:
    """Where a check's program is installed: by npm in this checkout, else beside Python."""
    by_npm = ROOT / "node_modules" / ".bin" / name
    return by_npm if name in ("eslint", "prettier") else Path(sys.executable).parent / name


def _beside(only: Sequence[str], name: str | None) -> tuple[str, ...]:
    """The flags by which pytest shares these tests out among processes; none if they are few."""
    from vms.capacity import processors

    if name is not None:
        return ()
    if set(only) == {"unit"}:
        # None boots a kernel or opens a browser, and some wait: one process more than CPUs.
        return ("-n", str(processors() + 1), "--dist", "worksteal")
    if not only or "guest" in only:
        # By files, whose tests have guests in common, in the order of pytest's settings, so that
        # the browser comes last in each process.
        return ("-n", str(processors()), "--dist", "loadfile", "--no-loadscope-reorder")
    return ()


def chosen_checks(only: Sequence[str], name: str | None) -> tuple[tuple[str, ...], ...]:
    """The commands to run: all checks, or pytest alone on some of the tests.

    Raises UsageError for a kind of test that does not exist, and for an empty name.
    """
    from vms.errors import UsageError
    from vms.suggest import suggestion

    if wrong := [kind for kind in only if kind not in TESTS]:
        raise UsageError(f"--only {wrong[0]!r}: there is no such kind of test; {suggestion(wrong[0], TESTS)}")
    if name is not None and not name.strip():
        raise UsageError("-k: give a part of a test's name, for example -k deadline")
    beside = _beside(only, name)
    if not only and name is None:
        return (*CHECKS, ("pytest", *beside))
    chosen = [TESTS[kind] for kind in TESTS if kind in only]
    places = list(dict.fromkeys(place for place, _ in chosen))
    marks = ("-m", " or ".join(f"({mark})" for _, mark in chosen)) if chosen else ()
    return (("pytest", *beside, *places, *marks, *(("-k", name) if name else ())),)
