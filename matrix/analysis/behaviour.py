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

COLOURS = tuple(f"k{number}" for number in range(8))
"""The CSS classes that colour the behaviours of a row. The ninth behaviour has the first colour
again, but another letter.
"""


NOT_COMPARED = -1
"""The number of a cell that is not compared: it did not run, or its answer may be the host's."""


def behaviours(records: Sequence[Record | None]) -> tuple[int, ...]:
    """The number of each cell's behaviour: two cells have the same number exactly if the comparison
    finds no difference between them.

    Equal facts have equal numbers from 0, in order of appearance. A cell without facts
    (unsupported, crashed, timed out) has a number below -1 for its status and the splats of its
    kernel. -1 is a cell that is not compared.
    """
    seen: dict[object, int] = {}
    reported: dict[object, int] = {(): 0}

    def number(record: Record | None) -> int:
        if record is None or not comparable(record):
            return NOT_COMPARED
        if not record.facts:
            others = reported.setdefault(tuple(record.compared_splats), len(reported))
            return -2 - list(Status).index(record.status) - others * len(Status)
        return seen.setdefault(frozen_facts(record.facts), len(seen))

    return tuple(number(record) for record in records)


def letter(number: int) -> str:
    """The behaviour's letter: A, B, ... Z, AA, AB; empty for numbers below 0 (see `behaviours`)."""
    text = ""
    number += 1
    while number > 0:
        number, rest = divmod(number - 1, 26)
        text = chr(65 + rest) + text
    return text


def colour(number: int) -> str:
    """The behaviour's CSS class, one of COLOURS; empty for numbers below 0 (see `behaviours`)."""
    return COLOURS[number % len(COLOURS)] if number >= 0 else ""
