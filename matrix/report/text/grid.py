"""A table as lines of text, for the terminal and for Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from matrix.analysis.fact_value import frozen
from matrix.analysis.table import Row
from matrix.plan.plan import cell_label
from matrix.report.words import in_words
from matrix.results.record import FactValue, Record, Status, shown_value
from vms.text import shown

_COUNTS = 4
_FACT_CHARACTERS = 400


@dataclass(frozen=True)
class Word:
    """One cell of a line.

    `changed`: the cell differs from its left neighbour. `status` is set if the text is or holds it.
    """

    text: str
    changed: bool = False
    status: Status | None = None


@dataclass(frozen=True)
class Line:
    """One line of a row: its label, and a word per kernel."""

    label: str
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Lines:
    """A row as text. The heading has its words, and `question` is what they answer. Without words,
    `counts` are the facts whose values are joined in the heading: `10/7/10/7`; `differing` has a
    line for each other fact that is not the same on every kernel, `everywhere` the value of each
    that is.
    """

    heading: Line
    counts: tuple[str, ...]
    differing: tuple[Line, ...]
    everywhere: tuple[tuple[str, str], ...]
    question: str = ""


def lines(row: Row) -> Lines:
    """The row as lines.

    Its words, or its first few plain numbers, are in the heading, since readers look there first.
    """
    label = cell_label(row.experiment, row.label)
    pairs = list(zip(row.records, row.changed, strict=True))
    if row.words:
        told = zip(pairs, row.words, strict=True)
        answers = Line(label, tuple(_answer(*pair, text) for pair, text in told))
        return Lines(answers, (), (), (), row.question)
    records = [record for record in row.records if record and record.facts]
    counts = tuple(
        fact for fact in row.facts if all(type(record.facts.get(fact)) is int for record in records)
    )[:_COUNTS]
    differing, everywhere = [], []
    for fact in row.facts:
        if fact in counts:
            continue
        values = {frozen(record.facts.get(fact)) for record in records}
        if len(values) == 1 and fact in records[0].facts:
            everywhere.append((fact, fact_text(records[0].facts[fact])))
        else:
            differing.append(Line(fact, tuple(_fact(record, changed, fact) for record, changed in pairs)))
    heading = Line(label, tuple(_heading(record, changed, counts) for record, changed in pairs))
    return Lines(heading, counts, tuple(differing), tuple(everywhere))


def fact_text(value: FactValue) -> str:
    """A fact's value on one line."""
    return shown(in_words(shown_value(value)).replace("\n", " "), _FACT_CHARACTERS)


def _heading(record: Record | None, changed: frozenset[str], counts: tuple[str, ...]) -> Word:
    text = "/".join(str(record.facts[name]) for name in counts) if record and record.facts else ""
    return _answer(record, changed & {"", *counts}, text)


def _answer(record: Record | None, changed: frozenset[str], text: str) -> Word:
    if record is None:
        return Word("")
    differs = bool(changed)
    if not text:
        return Word(record.status.value, differs, record.status)
    return (
        Word(text, differs)
        if record.status is Status.PASS
        else Word(f"{text} {record.status}", differs, record.status)
    )


def _fact(record: Record | None, changed: frozenset[str], fact: str) -> Word:
    if record is None or not record.facts:
        return Word("")
    return Word(fact_text(record.facts[fact]) if fact in record.facts else "-", fact in changed)
