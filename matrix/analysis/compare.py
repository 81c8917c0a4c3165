"""What differs between two kernels, fact by fact.

Only what a kernel really said is compared. A cell that ended in our `error`, or was never run, is
`lost`; one that disagreed with itself is `unstable`; neither is ever a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from matrix.results.record import ANSWERED, FactValue, Record, Status


class Kind(StrEnum):
    """What became of a fact between two cells.

    `appeared` and `disappeared`: only one side has the fact, because the other lacks it, crashed or
    did not end. `unsupported`: the later kernel says that it cannot.
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
        return (
            Difference(
                "",
                Kind.SAME if before.status is after.status else Kind.CHANGED,
                before.status.value,
                after.status.value,
            ),
        )
    gone = Kind.UNSUPPORTED if after.status is Status.UNSUPPORTED else Kind.DISAPPEARED
    return tuple(
        Difference(fact, _kind(fact, before, after, gone), before.facts.get(fact), after.facts.get(fact))
        for fact in _facts(before, after)
    )


def differences(before: Record, after: Record) -> list[Difference]:
    """What differs, for whoever tells it: where only one side has facts, that it has and the other
    has not, instead of each of them.
    """
    found = [difference for difference in compare_cells(before, after) if difference.kind.is_change]
    if found and bool(before.facts) != bool(after.facts):
        one, other = (ANSWERED if record.facts else record.status.value for record in (before, after))
        return [Difference("", found[0].kind, one, other)]
    return found


def comparable(record: Record | None) -> bool:
    """Whether the cell holds something a kernel said, the same each time."""
    return record is not None and record.status not in (Status.ERROR, Status.UNSTABLE)


def left_neighbours(records: Sequence[Record | None]) -> tuple[Record | None, ...]:
    """For each cell of one row the nearest comparable one to its left; None if there is none or the
    cell is not comparable itself.
    """
    neighbours: list[Record | None] = []
    last: Record | None = None
    for record in records:
        neighbours.append(last if comparable(record) else None)
        last = record if comparable(record) else last
    return tuple(neighbours)


def changes(rows: Iterable[Sequence[Record | None]]) -> tuple[Change, ...]:
    """Every change between neighbours in every row.

    Cells that cannot be compared are stepped over.
    """
    found = []
    for records in rows:
        for before, after in zip(left_neighbours(records), records, strict=True):
            if before is not None and after is not None:
                found += [
                    Change(before, after, difference)
                    for difference in compare_cells(before, after)
                    if difference.kind.is_change
                ]
    return tuple(found)


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


def _kind(fact: str, before: Record, after: Record, gone: Kind) -> Kind:
    if fact not in before.facts:
        return Kind.APPEARED
    if fact not in after.facts:
        return gone
    one, other = before.facts[fact], after.facts[fact]
    return Kind.SAME if type(one) is type(other) and one == other else Kind.CHANGED
