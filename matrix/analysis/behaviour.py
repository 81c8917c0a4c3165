"""Which cells of a row behave alike, and the letter of each behaviour on the page."""

from __future__ import annotations

from collections.abc import Sequence

from matrix.analysis.compare import comparable
from matrix.analysis.fact_value import frozen_facts
from matrix.results.record import Record, Status

GLYPHS = {
    Status.PASS: "",
    Status.FAIL: "✗",
    Status.UNSUPPORTED: "-",
    Status.UNSTABLE: "≈",
    Status.CRASH: "†",
    Status.TIMEOUT: "…",
    Status.ERROR: "!",
}
"""The glyph beside a cell's letter, or in its place, by status."""


def behaviours(records: Sequence[Record | None]) -> tuple[int, ...]:
    """The number of each cell's behaviour: two cells have the same number exactly if the comparison
    finds no difference between them.

    Equal facts have equal numbers from 0, in order of appearance. A cell without facts
    (unsupported, crashed, timed out) has a number below -1 for its status. -1 is a cell that is not
    compared.
    """
    seen: dict[object, int] = {}

    def number(record: Record | None) -> int:
        if record is None or not comparable(record):
            return -1
        if not record.facts:
            return -2 - list(Status).index(record.status)
        return seen.setdefault(frozen_facts(record.facts), len(seen))

    return tuple(number(record) for record in records)


def letter(number: int) -> str:
    """The behaviour's letter: A, B, ... Z, AA, AB."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(65 + rest) + text
    return text
