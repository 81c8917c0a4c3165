"""The task that runs other people's tests on kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from commands.shell import (
    JOBS,
    ROOT,
    console,
    count,
    input_file,
    keep,
    least_memory,
    print_json,
    reported,
    run_programs,
    selected,
    tidy,
)

if TYPE_CHECKING:
    from matrix.invocation import Result
    from matrix.plan.project import Project
    from matrix.script.script import Script
    from matrix.script.suite import Suite
    from vms.kernels.select import Selection

# Each task imports what it needs, so that listing the tasks does not load every library.
_SECONDS = 300
_CPUS = 2  # races are what some of these tests are about
_IMAGE_SECONDS = 1200


@task(
    positional=["suite"],
    iterable=["kernel", "only"],
    help={
        "suite": "directory:PATH, packetdrill:PATH, selftests:linux-source-X.Y or selftests:tree:PATH",
        "kernel": "a kernel, for example 6.12 (repeatable; default: those of matrix.toml)",
        "only": "a glob for names of programs, for example 'nft_*' (repeatable; default: all)",
        "packetdrill": "the program packetdrill, best a static one, for tests that need it",
        "cpus": "virtual CPUs of a guest (default: 2)",
        "memory": "memory of a guest in MiB (default: 512)",
        "timeout": "seconds that a program may take (default: 300)",
        "jobs": f"{JOBS} (default: one per processor; fewer while memory is short)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what is in the cache",
        "json": "print every record as JSON instead of the table",
    },
)
@reported
def suite(
    _context: Context,
    suite: str,
    kernel: list[str],
    only: list[str],
    packetdrill: str | None = None,
    cpus: str | None = None,
    memory: str | None = None,
    timeout: str | None = None,
    jobs: str | None = None,
    accel: str = "auto",
    offline: bool = False,
    json: bool = False,
) -> int:
    """Run other people's tests on kernels, a row for each program, and show where they differ."""
    from matrix.analysis.ledger.read import read_ledger
    from matrix.plan.project import Project
    from matrix.report.text.tested import print_suite
    from matrix.script.known import read_known
    from matrix.script.suite import read_suite
    from vms.accel import check_request
    from vms.capacity import processors

    check_request(accel)
    seconds = float(count("--timeout", timeout, "seconds") or _SECONDS)
    virtual = count("--cpus", cpus, "virtual CPUs") or _CPUS
    mebibytes = least_memory(memory)
    at_a_time = count("--jobs", jobs, JOBS) or processors()
    project = Project.open(ROOT, offline=offline)
    specs = project.specs(kernel)
    program = None if packetdrill is None else input_file("--packetdrill", packetdrill)
    tests = read_suite(suite, project.config.debian, project.cache, offline=offline, packetdrill=program)
    scripts = {
        name: tests.script(name, seconds=seconds, cpus=virtual, memory=mebibytes) for name in tests.only(only)
    }
    result = _ask(project, selected(project, specs), tests, scripts, accel, mebibytes, at_a_time)
    keep(project.config.history, result.run)
    tidy(project.config.cache.size)
    if json:
        print_json(result.analysis.records)
    else:
        print_suite(result.analysis, read_known(read_ledger()), console())
        console().print(str(result.page), soft_wrap=True, markup=False)
    return result.analysis.exit_code


def _ask(
    project: Project,
    selection: Selection,
    tests: Suite,
    scripts: Mapping[str, Script],
    accel: str,
    memory: int,
    jobs: int,
) -> Result:
    """Runs each of the tests on each of the kernels, in an image with the tools that they need."""
    from matrix.plan.plan import make_plan
    from matrix.report.text.progress import display
    from matrix.run.machines import Machines
    from matrix.run.waiting import told
    from matrix.script.guests import ScriptGuests
    from matrix.script.suite import TOOLS, experiments_of, read_test
    from vms.deadline import Deadline
    from vms.image import build_image

    experiments = experiments_of(tests, scripts)
    with display(console(errors=True)) as shown:
        deadline = Deadline(_IMAGE_SECONDS, "building the guests' image for tests")
        with told(shown.note, "preparing the guests' image, with the tools that tests need"):
            more = TOOLS + project.config.image.more
            image = build_image(project.cache, project.config.debian, deadline, more)
        machines = Machines(project, accel, selection.catalogue, image, memory)
        plan = make_plan(selection.kernels, experiments.values())
        by_name = dict(zip(experiments, scripts.values(), strict=True))
        guests = ScriptGuests(machines, by_name, read_test)
        return run_programs(plan, selection, guests, jobs, shown)
