"""What differs between two kernels, fact by fact.

Only answers of kernels are compared. A cell that ended in `error`, or was never run, is `lost`; one
whose repeats disagreed is `unstable`; neither is ever a change.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from guest.catalogue import SPLATS
from matrix.analysis.fact_value import frozen
from matrix.results.record import ANSWERED, FactValue, Record, Status


class Kind(StrEnum):
    """What became of a fact between two cells.

    `appeared` and `disappeared`: only one side has the fact, because the other lacks it, crashed or
    timed out. `unsupported`: the later kernel does not support what the cell needs.
    """

    SAME = "same"
    CHANGED = "changed"
    APPEARED = "appeared"
    DISAPPEARED = "disappeared"
    UNSUPPORTED = "unsupported"
    UNSTABLE = "unstable"
    LOST = "lost"

    @property
    def is_change(self) -> bool:
        """Whether the two kernels differ."""
        return self in (Kind.CHANGED, Kind.APPEARED, Kind.DISAPPEARED, Kind.UNSUPPORTED)


@dataclass(frozen=True)
class Difference:
    """One fact on two sides.

    `fact` is empty where a side has no facts to compare: then the statuses are all there is.
    """

    fact: str
    kind: Kind
    before: FactValue | None = None
    after: FactValue | None = None

    @property
    def key(self) -> Hashable:
        """Equal exactly for equal differences; a list or a map in them is not hashable itself."""
        return self.fact, self.kind, frozen(self.before), frozen(self.after)


@dataclass(frozen=True)
class Change:
    """A fact that differs between two neighbouring kernels, with the cells on both sides."""

    before: Record
    after: Record
    difference: Difference


def compare_cells(before: Record | None, after: Record | None) -> tuple[Difference, ...]:
    """What became of each fact of a cell, in the order of declaration."""
    if before is None or after is None or Status.ERROR in (before.status, after.status):
        return _all(before, after, Kind.LOST)
    if Status.UNSTABLE in (before.status, after.status):
        return _all(before, after, Kind.UNSTABLE)
    if not before.facts and not after.facts:
        if before.status is not after.status:
            return (Difference("", Kind.CHANGED, before.status.value, after.status.value),)
        if before.compared_splats != after.compared_splats:
            return (Difference(SPLATS, Kind.CHANGED, before.compared_splats, after.compared_splats),)
        return (Difference("", Kind.SAME, before.status.value, after.status.value),)
    gone = Kind.UNSUPPORTED if after.status is Status.UNSUPPORTED else Kind.DISAPPEARED
    one, other = _beside(before, after), _beside(after, before)
    return tuple(
        Difference(fact, _kind(fact, one, other, gone), one.get(fact), other.get(fact))
        for fact in _facts(before, after)
    )


def differences(before: Record, after: Record) -> list[Difference]:
    """What differs, for reports: if only one side has facts, one difference of the cell as a whole
    instead of one per fact.
    """
    found = [difference for difference in compare_cells(before, after) if difference.kind.is_change]
    if found and bool(before.facts) != bool(after.facts):
        one, other = (ANSWERED if record.facts else record.status.value for record in (before, after))
        return [Difference("", found[0].kind, one, other)]
    return found


def comparable(record: Record | None) -> bool:
    """Whether the cell holds a kernel's answer, the same in every repeat."""
    return record is not None and record.status not in (Status.ERROR, Status.UNSTABLE)


class Neighbours(NamedTuple):
    """Two cells of a row that are compared, and the columns in which they are."""

    left: int
    right: int
    before: Record
    after: Record


def neighbours(records: Sequence[Record | None]) -> Iterator[Neighbours]:
    """Each comparable cell of a row with the nearest comparable one to its left, if any."""
    last: tuple[int, Record] | None = None
    for column, record in enumerate(records):
        if record is not None and comparable(record):
            if last is not None:
                yield Neighbours(last[0], column, last[1], record)
            last = column, record


def _facts(before: Record | None, after: Record | None) -> list[str]:
    return list(dict.fromkeys([*(after.facts if after else ()), *(before.facts if before else ())]))


def _all(before: Record | None, after: Record | None, kind: Kind) -> tuple[Difference, ...]:
    facts = _facts(before, after) or [""]
    return tuple(
        Difference(
            fact, kind, before.facts.get(fact) if before else None, after.facts.get(fact) if after else None
        )
        for fact in facts
    )


def _beside(record: Record, other: Record) -> dict[str, FactValue]:
    """A cell's facts, with an empty list of splats if it has none and the other cell has some."""
    empty: dict[str, FactValue] = {SPLATS: []}
    return empty | record.facts if record.facts and SPLATS in other.facts else record.facts


def _kind(fact: str, before: Mapping[str, FactValue], after: Mapping[str, FactValue], gone: Kind) -> Kind:
    if fact not in before:
        return Kind.APPEARED
    if fact not in after:
        return gone
    one, other = before[fact], after[fact]
    return Kind.SAME if type(one) is type(other) and one == other else Kind.CHANGED
