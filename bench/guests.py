"""Shared by measurements: guests, cells of an experiment that does nothing, and runs of
such cells.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

from guest.catalogue import Experiment
from matrix.plan.config import read_config
from matrix.plan.plan import Cell, Plan
from matrix.plan.project import Project
from matrix.results.directory import now, open_run
from matrix.results.judge import Outcome
from matrix.results.manifest import Manifest, kernel_entries, plan_digest
from matrix.results.record import Record, Status
from matrix.run.cell import Question, ask
from matrix.run.guests import Guests
from matrix.run.machines import Machines
from matrix.run.order import Order, places
from matrix.run.progress import Display, KernelProgress, Overview
from matrix.run.runner import Known, execute
from vms import tool
from vms.cache import Cache
from vms.capacity import children
from vms.deadline import Deadline
from vms.errors import HostError
from vms.hardware import Hardware
from vms.kernels.kernel import Kernel
from vms.kernels.select import select
from vms.template import Template

ROOT = Path(__file__).parents[1]

PROJECT = Project(
    ROOT, replace(read_config(ROOT / "matrix.toml"), own_experiments="bench/experiments"), Cache.default()
)
"""This checkout with the experiments that measure instead of those of the user."""
MACHINES = Machines(PROJECT)


def kernels(*specs: str) -> tuple[Kernel, ...]:
    """The kernels that the specs mean."""
    return select(PROJECT.specs(specs), PROJECT.builds, ROOT).kernels


@cache
def template(spec: str) -> Template:
    """The template of one kernel, with the usual hardware."""
    (kernel,) = kernels(spec)
    return MACHINES.template(MACHINES.fetch(kernel), Hardware())


def experiment(name: str) -> Experiment:
    """An experiment of the catalogue or of bench/experiments."""
    return PROJECT.experiments[name]


def question(name: str, **variant: str) -> Question:
    """The question of one cell."""
    return Question(name, name, variant, experiment(name).seconds)


def answered(template: Template, asked: Question) -> Outcome:
    """Runs one cell. Raises HostError if it gave no answer, as there is nothing to measure then."""
    outcome = ask(template, asked)
    if outcome.answer is None or b'"outcome": "answered"' not in outcome.answer.whole:
        raise HostError(f"{asked.what} on {template.name} gave no answer: {outcome.lost or outcome.answer!r}")
    return outcome


def cells_of(of: Sequence[Kernel], each: int) -> Plan:
    """A plan of `each` cells per kernel of an experiment that does nothing."""
    asked = experiment("nothing")
    cells = tuple(Cell(kernel, asked, variant) for kernel in of for variant in asked.combinations()[:each])
    return Plan(tuple(of), (asked,), cells)


def seconds_of(plan: Plan, guests: Guests, jobs: int) -> float:
    """The seconds a run of the plan takes, as `run`. Raises HostError if a cell did not pass."""
    seconds, records = run(plan, guests, jobs)
    wrong = [record for record in records if record.status is not Status.PASS]
    if wrong:
        raise HostError(
            f"{len(wrong)} of {len(records)} cells did not pass, among them {wrong[0].kernel}:"
            f" {wrong[0].reason}"
        )
    return seconds


def run(
    plan: Plan,
    guests: Guests,
    jobs: int,
    display: Display | None = None,
    known: Known | None = None,
    order: Order = places,
) -> tuple[float, list[Record]]:
    """Runs the plan in a temporary directory. Returns the seconds from the first fetch to the last
    record on disk, and the records.
    """
    surroundings = guests.prepare(plan.kernels)
    names = tuple(experiment.name for experiment in plan.experiments)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        digest = plan_digest(plan, surroundings)
        opened = open_run(
            Path(directory),
            Manifest("bench", digest, now(), (), jobs, names, kernel_entries(plan), surroundings),
        )
        began = time.perf_counter()
        execute(plan, guests, opened, jobs, display or Silent(), known, order)
        seconds = time.perf_counter() - began
        opened.close(finished=True)
    return seconds, list(opened.records.values())


def make_templates(of: Iterable[Kernel], jobs: int) -> None:
    """Boots every kernel that has no template yet."""
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda kernel: MACHINES.template(MACHINES.fetch(kernel), Hardware()), of))


def ended_seconds() -> float:
    """The processor seconds of all processes that this one started and that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def processor_seconds() -> float:
    """The same, and what those that still run have taken so far."""
    return ended_seconds() + sum(map(_running_seconds, children()))


def _running_seconds(pid: int) -> float:
    """Processor seconds of a process that runs; 0 once it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def elsewhere(module: str, seconds: float) -> str:
    """Runs a module in its own process and returns the last line it prints.

    Raises HostError if it fails or takes longer than `seconds`.
    """
    said = tool.run([sys.executable, "-m", module], Deadline(seconds, f"measuring {module}"), cwd=ROOT)
    return said.splitlines()[-1]


class Silent:
    """A display that shows nothing."""

    def note(self, text: str) -> None:
        """Ignores the note."""

    def changed(self, kernel: KernelProgress) -> None:
        """Ignores the phase."""

    def finished(self, record: Record) -> None:
        """Ignores the record."""

    def overview(self, overview: Overview) -> None:
        """Ignores the overview."""

    def tick(self) -> None:
        """Ignores the tick."""
