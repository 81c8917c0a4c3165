"""A table as lines of words, for the reports that are text: terminal and Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from matrix.record import FactValue, Record, Status
from matrix.report.shown import in_words, shown, shown_value
from matrix.table import Row

_COMPACT_CHARACTERS = 24
_CELL_CHARACTERS = 48


@dataclass(frozen=True)
class Word:
    """One cell of a line. `changed`: differs from its left neighbour. `status` is set where the word is one, not a fact."""

    text: str
    changed: bool = False
    status: Status | None = None


@dataclass(frozen=True)
class Line:
    """One line of a row: whose fact (`heading` is the row's own first line), and a word per kernel."""

    label: str
    words: tuple[Word, ...]
    heading: bool = False


def lines(row: Row) -> tuple[Line, ...]:
    """A row as lines: the counts side by side as `10/10/10/10` where that is short, every other fact on a line of its own."""
    counts = _counts(row)
    heading = row.experiment + (f" [{row.label}]" if row.label else "")
    if counts:
        first = tuple(_counts_word(record, changed, counts) for record, changed in zip(row.records, row.changed, strict=True))
    else:
        first = tuple(_status_word(record, changed) for record, changed in zip(row.records, row.changed, strict=True))
    found = [Line(heading, first, heading=True)]
    if len(counts) > 1:
        found.append(Line("/".join(counts), tuple(Word("") for _ in row.records)))
    for fact in row.facts:
        if fact not in counts:
            words = tuple(_fact_word(record, changed, fact) for record, changed in zip(row.records, row.changed, strict=True))
            found.append(Line(fact, words))
    return tuple(found)


def _counts(row: Row) -> tuple[str, ...]:
    """The facts that are plain numbers everywhere, if all of them fit side by side."""
    records = [record for record in row.records if record and record.facts]
    names = tuple(fact for fact in row.facts if all(type(record.facts.get(fact)) is int for record in records))
    longest = max((len(_joined(record, names)) for record in records), default=0)
    return names if longest <= _COMPACT_CHARACTERS else ()


def _joined(record: Record, names: tuple[str, ...]) -> str:
    return "/".join(str(record.facts[name]) for name in names)


def _counts_word(record: Record | None, changed: frozenset[str], names: tuple[str, ...]) -> Word:
    if record is None or not record.facts:
        return _status_word(record, changed)
    text = _joined(record, names)
    if record.status is Status.PASS:
        return Word(text, bool(changed & set(names)))
    return Word(f"{text} {record.status}", bool(changed & set(names)), record.status)


def _status_word(record: Record | None, changed: frozenset[str]) -> Word:
    return Word("", False) if record is None else Word(record.status.value, "" in changed, record.status)


def _fact_word(record: Record | None, changed: frozenset[str], fact: str) -> Word:
    if record is None or not record.facts:
        return Word("")
    return Word(short(record.facts[fact]) if fact in record.facts else "-", fact in changed)


def short(value: FactValue) -> str:
    """A fact's value on one line that is not too long for a table."""
    return shown(in_words(shown_value(value)).replace("\n", " "), _CELL_CHARACTERS)
