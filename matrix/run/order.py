"""The order of a run's cells: the questions that people ask first, then the short ones, and each
long one just in time.

A run is worth looking at after a minute, and ends when its processors run out of work, not when one
long cell that was begun last does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from matrix.plan.plan import Cell
from matrix.run.durations import Seconds

FIRST_TOPIC = "seed"
"""The topic whose questions every run answers first: `baseline`, `table-full` and the like."""

_Row = tuple[str, str]

_MARGIN = 1.25  # by which a long cell is begun before it must, since its length is an estimate


class Wave(IntEnum):
    """The parts of a run, one after the other.

    `SAMPLE`: one cell of each topic, and each question of the first topic in one variant. `FIRST`:
    the first topic in all variants.
    """

    BOOTS = 0
    SAMPLE = 1
    FIRST = 2
    REST = 3


@dataclass(frozen=True, order=True)
class Place:
    """A job's place in the order of a run: smaller ones go first.

    `seconds` is how long it is expected to take. `row` is the place of its experiment and variant
    in the plan: one row is asked of every kernel before the next, so that rows can be compared
    early.
    """

    wave: Wave
    seconds: float = 0.0
    row: int = 0


Order = Callable[[Iterable[Cell], Seconds], Callable[[Cell], Place]]
"""Tells the place of each of these cells, as `places` does."""

BEFORE_CELLS = Place(Wave.BOOTS)
"""The place of a kernel's boot: all of its cells wait for it."""


def places(cells: Iterable[Cell], seconds: Seconds) -> Callable[[Cell], Place]:
    """Returns a function that tells the place of each of these cells.

    A cell that no run measured counts as long as its experiment's limit.
    """
    rows: dict[_Row, Cell] = {}
    for cell in cells:
        rows.setdefault(cell.key[1:], cell)
    lengths = {key: expected(cell, seconds) for key, cell in rows.items()}
    sample = _sample(rows, lengths)
    found = {}
    for number, (key, cell) in enumerate(rows.items()):
        if key in sample:
            # Not by length: rows of the sample are shown in the order of the catalogue.
            found[key] = Place(Wave.SAMPLE, 0.0, number)
        elif cell.experiment.topic == FIRST_TOPIC:
            found[key] = Place(Wave.FIRST, 0.0, number)
        else:
            found[key] = Place(Wave.REST, lengths[key], number)
    return lambda cell: found[cell.key[1:]]


def expected(cell: Cell, seconds: Seconds) -> float:
    """How many seconds a cell takes as earlier runs measured it, else its experiment's limit."""
    measured = seconds(cell)
    return cell.experiment.seconds if measured is None else measured


def must_begin(longest: float, others: float, at_a_time: int) -> bool:
    """Whether a job of `longest` seconds has to begin now so as not to end after all others.

    `others` is the sum of the seconds of all other jobs that have not begun; `at_a_time` is how
    many run at once.
    """
    return longest * (at_a_time - 1) * _MARGIN >= others


def _sample(rows: Mapping[_Row, Cell], lengths: Mapping[_Row, float]) -> set[_Row]:
    """The rows of `Wave.SAMPLE`: of each topic the shortest, and one that only waits only if there
    is no other.
    """
    best: dict[str, _Row] = {}
    for key, cell in rows.items():
        of = cell.experiment
        group = f"{of.topic}/{of.name}" if of.topic == FIRST_TOPIC else of.topic
        shortest = best.setdefault(group, key)
        if (of.waits, lengths[key]) < (rows[shortest].experiment.waits, lengths[shortest]):
            best[group] = key
    return set(best.values())
