"""Which cells of a row behave alike: the letter and the colour that the page gives them."""

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
"""What stands beside a letter, or in its place, in a cell of that status."""


def behaviours(records: Sequence[Record | None]) -> tuple[int, ...]:
    """For each cell of a row the number of its behaviour: two cells have the same one exactly if
    they compare as the same.

    Equal facts have equal numbers from 0, in order of appearance. A kernel that gave no facts (it
    cannot, crashed, did not end) behaves as its status says, numbered below -1. -1 is a cell that
    is not compared.
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
