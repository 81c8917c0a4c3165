"""Selects the cells of a nightly run: all new ones, and a sample that covers the others in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from matrix.plan.plan import Cell, Plan
from matrix.results.latest import LatestAnswers
from vms.kernels.kernel import Kernel

ROUND = 14
"""The number of nights in which the samples cover every kernel."""


@dataclass(frozen=True)
class Tonight:
    """The cells to run, and why: new kernels, new experiments, and the kernels of the sample.

    `again` has the keys of the sample's cells, to which an answer is known already.
    """

    plan: Plan
    kernels: tuple[Kernel, ...]
    experiments: tuple[str, ...]
    sample: tuple[Kernel, ...]
    again: frozenset[tuple[str, str, str]]


def choose(plan: Plan, known: LatestAnswers, today: date) -> Tonight:
    """Selects the part of the plan to run; equal inputs give equal selections.

    A new cell is one without an answer: of a new kernel, of a new or rewritten experiment, or one
    that has only ended in `error`. The sample is of whole kernels, since booting one costs more
    than its cells; a kernel that has answered everything today is not in it.
    """
    new = [cell for cell in plan.cells if known.answer_to(cell) is None]
    ids = {kernel for kernel, _, _ in known.answers}
    experiments = {experiment for _, experiment, _ in known.answers}
    sample = tuple(kernel for kernel in _sample(plan.kernels, today) if kernel.id in ids)
    again = [
        cell
        for kernel in sample
        for cell in plan.of(kernel)
        if (answer := known.answer_to(cell)) is not None and not answer.seen.startswith(today.isoformat())
    ]
    wanted = {cell.key for cell in (*new, *again)}
    return Tonight(
        only(plan, lambda cell: cell.key in wanted),
        tuple(kernel for kernel in plan.kernels if kernel.id not in ids),
        tuple(experiment.name for experiment in plan.experiments if experiment.name not in experiments),
        tuple(dict.fromkeys(cell.kernel for cell in again)),
        frozenset(cell.key for cell in again),
    )


def _sample(kernels: tuple[Kernel, ...], today: date) -> list[Kernel]:
    """The kernels of the day: as many as it takes to cover all in `ROUND` nights, from where the
    day before ended.
    """
    count = -(-len(kernels) // ROUND)
    start = today.toordinal() * count
    return [kernels[place % len(kernels)] for place in range(start, start + count)]


def only(plan: Plan, wanted: Callable[[Cell], bool]) -> Plan:
    """The plan with only the cells that `wanted` selects."""
    cells = tuple(cell for cell in plan.cells if wanted(cell))
    kernels = {cell.kernel.id for cell in cells}
    experiments = {cell.experiment.name for cell in cells}
    return Plan(
        tuple(kernel for kernel in plan.kernels if kernel.id in kernels),
        tuple(experiment for experiment in plan.experiments if experiment.name in experiments),
        cells,
    )
