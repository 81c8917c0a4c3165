"""Neighbouring kernels that behave alike, as one strip."""

from __future__ import annotations

from matrix.analysis.behaviour import NOT_COMPARED
from matrix.analysis.table import Row


def strips(row: Row) -> tuple[int, ...]:
    """For each cell of a row the number of kernels of the strip that begins there; 0 for a cell
    that continues the strip of its left neighbour.

    Two neighbours are of one strip if they behave alike and look alike: the same status, and splats
    or none. A cell that did not run or is not compared stands alone. `spansOf` in grid.js is the
    same for the kernels in sight.
    """
    spans = [0] * len(row.records)
    head = 0
    for column in range(len(row.records)):
        if column == 0 or not _alike(row, column - 1, column):
            head = column
        spans[head] += 1
    return tuple(spans)


def _alike(row: Row, left: int, right: int) -> bool:
    before, after = row.records[left], row.records[right]
    if before is None or after is None or row.behaviours[right] == NOT_COMPARED:
        return False
    return (row.behaviours[left], before.status, bool(before.splats)) == (
        row.behaviours[right],
        after.status,
        bool(after.splats),
    )
