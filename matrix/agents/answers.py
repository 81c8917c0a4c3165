"""What a program is answered, as compact JSON: empty fields are left out, long texts are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from matrix.report.words import in_words
from matrix.results.record import FactValue, Record, shown_value
from vms.text import shown

_VALUE_CHARACTERS = 200
_REASON_CHARACTERS = 300


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of an answer."""


class Page(Answer, frozen=True):
    """Some of `total` items. `next` is the offset of those that follow, None at the end."""

    total: int
    items: tuple[Any, ...]
    next: int | None = None


class KernelLine(Answer, frozen=True):
    """A kernel; `answers` counts its cells with an answer."""

    kernel: str
    version: str
    answers: int = 0


class ExperimentLine(Answer, frozen=True):
    """An experiment; `facts` maps each fact to its meaning, if only this one was asked for."""

    name: str
    question: str
    facts: Mapping[str, str] = {}
    variants: Mapping[str, Sequence[str]] = {}


class CommitLine(Answer, frozen=True):
    """An upstream commit and what it does."""

    title: str
    effect: str
    mainline: str = ""
    backports: tuple[str, ...] = ()
    link: str = ""


class ChangeLine(Answer, frozen=True):
    """A fact that differs from the kernel `older` to `newer`.

    `commits` are keys of the answer's commits; `lost` are those of them that the newer kernel does
    not hold.
    """

    fact: str
    older: str
    newer: str
    before: str
    after: str
    verdict: str
    commits: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class RowLine(Answer, frozen=True):
    """The variants (empty: all) that answered alike: each fact's value, one per kernel if they
    differ, and the changes.
    """

    variants: str = ""
    facts: Mapping[str, str | Sequence[str]] = {}
    changes: tuple[ChangeLine, ...] = ()


class Explained(Answer, frozen=True):
    """One experiment on all kernels."""

    experiment: str
    question: str
    kernels: tuple[str, ...]
    rows: Page
    commits: Mapping[str, CommitLine] = {}


class FactLine(Answer, frozen=True):
    """A fact that is not the same on two sides."""

    experiment: str
    fact: str
    before: str
    after: str
    what: str
    variants: str = ""
    verdict: str = ""
    commits: tuple[str, ...] = ()


class Compared(Answer, frozen=True):
    """Two sides: how many facts there are of each kind, and those that are not the same."""

    before: str
    after: str
    counts: Mapping[str, int]
    differing: Page
    now_failing: tuple[str, ...] = ()


class ItemLine(Answer, frozen=True):
    """One thing that an upgrade changes, and in what it is seen."""

    section: str
    sentence: str
    commits: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()


class Upgraded(Answer, frozen=True):
    """An upgrade report."""

    title: str
    overview: str
    items: Page


class SpanLine(Answer, frozen=True):
    """A fact on one build: its value now, since when, in how many runs, and what it was before."""

    experiment: str
    kernel: str
    value: str
    since: str
    runs: int
    variants: str = ""
    before: tuple[str, ...] = ()


class CellLine(Answer, frozen=True):
    """What a kernel answered in one variant."""

    status: str
    facts: Mapping[str, str]
    variant: str = ""
    reason: str = ""


class JobLine(Answer, frozen=True):
    """A job. `state` is running, done, failed or late; `messages` are the last that it printed."""

    job: int
    kernel: str
    experiment: str
    state: str
    seconds: int
    messages: tuple[str, ...] = ()
    cells: Page | None = None


def page(items: Sequence[Any], offset: int, limit: int) -> Page:
    """The items from `offset` on, `limit` at most."""
    end = offset + limit
    return Page(len(items), tuple(items[offset:end]), end if end < len(items) else None)


def value_text(value: FactValue | None) -> str:
    """A fact's value on one line; of what is missing, a dash."""
    if value is None:
        return "-"
    return shown(in_words(shown_value(value)).replace("\n", " "), _VALUE_CHARACTERS)


def cell_line(record: Record, variant: str) -> CellLine:
    """A cell's answer."""
    facts = {name: value_text(value) for name, value in record.facts.items()}
    return CellLine(record.status.value, facts, variant, shown(record.reason, _REASON_CHARACTERS))
