"""What a cell of the page shows: the answer in words, or where an experiment declares none, of each
fact that differs within a row the part that differs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from matrix.analysis.fact_value import frozen
from matrix.analysis.table import Row
from matrix.report.words import in_words
from matrix.results.record import FactValue, Record, shown_value
from vms.text import shown

_LINES = 5
_LINES_OF_EQUALS = 3
_COUNTS = 6
_CHARACTERS = 60
_PREFIX = 12


@dataclass(frozen=True)
class BriefLine:
    """One line in every cell of a row: the facts that the line shows, and their values by column
    (empty if a cell has none). `name` stands before the values, empty if they are words.
    """

    name: str
    facts: tuple[str, ...]
    values: tuple[str, ...]


def brief(row: Row) -> tuple[BriefLine, ...]:
    """The lines of a row: its words. Without words, a line for each fact that differs within the
    row; if no fact differs, one with all plain counts, or one for each of the first facts.
    """
    if row.words:
        return (BriefLine("", row.facts, row.words),)
    records = [record for record in row.records if record and record.facts]
    varying = [name for name in row.facts if len({frozen(record.facts.get(name)) for record in records}) > 1]
    if varying:
        return tuple(_line_of((name,), _differing(row, name)) for name in varying[:_LINES])
    counts = tuple(
        name for name in row.facts if all(type(record.facts.get(name)) is int for record in records)
    )
    lines = [counts] if 0 < len(counts) <= _COUNTS else [(name,) for name in row.facts[:_LINES_OF_EQUALS]]
    return tuple(
        _line_of(names, tuple("/".join(_text(record, name) for name in names) for record in row.records))
        for names in lines
    )


def _line_of(facts: tuple[str, ...], values: tuple[str, ...]) -> BriefLine:
    return BriefLine("/".join(shown(fact, 60) for fact in facts), facts, values)


def _text(record: Record | None, name: str) -> str:
    if record is None or not record.facts:
        return ""
    return _line(in_words(shown_value(record.facts[name]))) if name in record.facts else "absent"


def _differing(row: Row, name: str) -> tuple[str, ...]:
    """The fact in each cell; an ellipsis stands for what is the same in all: items of lists, keys
    of dicts, the beginning of long texts.
    """
    values = [record.facts[name] for record in row.records if record and name in record.facts]
    reduced = [_without_common(value, values) for value in values]
    if len(set(map(frozen, reduced))) < len(set(map(frozen, values))):
        reduced = values  # they differ in nothing but order or number of items
    left = iter(reduced)
    return _without_prefix(
        [
            _reduced_text(record.facts[name], next(left))
            if record and name in record.facts
            else _text(record, name)
            for record in row.records
        ]
    )


def _reduced_text(value: FactValue, left: FactValue) -> str:
    if left == value:
        return _line(in_words(shown_value(value)))
    return _line(f"… {in_words(shown_value(left))}") if left else "…"


def _without_prefix(texts: Sequence[str]) -> tuple[str, ...]:
    """The texts, the long ones without the words with which all long ones begin."""
    long = [text for text in texts if len(text) > _PREFIX]
    common = os.path.commonprefix(long)  # noqa: RUF071 (texts, not paths)
    common = common[: common.rfind(" ") + 1]
    if len(set(long)) < 2 or len(common) < _PREFIX:
        return tuple(texts)
    return tuple(f"…{text[len(common) :]}" if text in long else text for text in texts)


def _without_common(value: FactValue, values: Sequence[FactValue]) -> FactValue:
    """What of a list or map is not the same in all of the values."""
    if isinstance(value, list):
        lists = [set(other) for other in values if isinstance(other, list)]
        return [item for item in value if not all(item in other for other in lists)]
    if isinstance(value, dict):
        dicts = [other for other in values if isinstance(other, dict)]
        return {
            key: number
            for key, number in value.items()
            if not all(key in other and other[key] == number for other in dicts)
        }
    return value


def _line(text: str) -> str:
    return shown(text.replace("\n", " "), 4 * _CHARACTERS)
