"""Tells in a few words what cells answered, so that equal words in a row are equal facts."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence

from matrix.analysis import wording
from matrix.analysis.fact_value import frozen_facts
from matrix.analysis.wording.declare import MOST_CHARACTERS, Words, declared
from matrix.results.record import Record
from vms.text import shown

MARK = "*"
"""Stands behind words that another cell of the row has for other facts."""


def tell(records: Sequence[Record | None]) -> tuple[str, ...]:
    """The words of each cell of a row; empty for a cell without facts.

    The second answer that has the same words as an earlier one, and other facts, is marked with a
    star, the third with two. Nothing at all is told if any cell has facts and no words.
    """
    answered = [record for record in records if record and record.facts]
    said = {frozen_facts(record.facts): say(record) for record in answered}
    if not all(said.values()):
        return ()
    seen: dict[str, int] = {}
    marked = {}
    for facts, text in said.items():
        seen[text] = seen.get(text, -1) + 1
        marked[facts] = text + MARK * seen[text]
    return tuple(marked[frozen_facts(record.facts)] if record and record.facts else "" for record in records)


def tell_apart(pairs: Iterable[tuple[Record, Record]]) -> tuple[str, ...]:
    """Both sides of a difference in words. Nothing if the pairs do not all have the same words, or
    if these do not tell the sides apart.
    """
    told = {tell(pair) for pair in pairs}
    words = told.pop()
    if told or not all(words) or any(text.endswith(MARK) for text in words):
        return ()
    return words


def say(record: Record) -> str:
    """The words of one cell.

    Empty if it has no facts, if its experiment declares no words, or if the facts are of a run from
    when the experiment had others.
    """
    words = all_words().get(record.experiment)
    if words is None or not record.facts:
        return ""
    try:
        text = words(record.facts)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return ""
    text = " ".join(shown(text).split())
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


@functools.cache
def all_words() -> Mapping[str, Words]:
    """The words of every experiment that declares some, by its name."""
    for module in pkgutil.iter_modules(wording.__path__):
        importlib.import_module(f"{wording.__name__}.{module.name}")
    return dict(declared)
