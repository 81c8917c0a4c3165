"""Which commits explain that two kernels differ, and which entries of the ledger a kernel
contradicts.

Several commits may stand between two kernels, so a difference is explained by a way from one value
to the other: each step an entry whose commit one kernel holds and the other lacks, taken in that
direction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matrix.analysis import compare
from matrix.analysis.ledger.contains import contains
from matrix.analysis.ledger.model import Change, Ledger
from matrix.results.record import ANSWERED, FactValue, Record, Status
from vms.kernels.kernel import Build
from vms.kernels.order import release_key

Value = FactValue | None


@dataclass(frozen=True)
class Explained:
    """These entries lead from the left value to the right one, in this order."""

    entries: tuple[Change, ...]


@dataclass(frozen=True)
class Unexplained:
    """No entry leads there.

    `items` names the elements or keys that are left over, `entries` explain the others.
    """

    items: tuple[str, ...] = ()
    entries: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Contradicted:
    """These entries say that the two kernels differ otherwise than they do."""

    entries: tuple[Change, ...]


Verdict = Explained | Unexplained | Contradicted


@dataclass(frozen=True)
class Contradiction:
    """A kernel showed `shown` where the entry says it must show `expected`."""

    entry: Change
    shown: Value
    expected: Value


def explain(
    ledger: Ledger,
    experiment: str,
    variant: Mapping[str, str],
    fact: str,
    left: Build,
    before: Value,
    right: Build,
    after: Value,
) -> Verdict:
    """What explains that a fact is `before` on the left kernel and `after` on the right; None where
    it is not there.
    """
    about = [entry for entry in ledger.changes if entry.is_about(experiment, variant) and entry.fact == fact]
    whole = _way(ledger, [entry for entry in about if not entry.item], left, before, right, after)
    if whole is not None:
        return Explained(whole)
    steps: list[Change] = []
    missing = []
    for item, (one, other) in _parts(before, after).items():
        way = _way(ledger, [entry for entry in about if entry.item == item], left, one, right, other)
        if way is None:
            missing.append(item)
        else:
            steps += way
    if steps and not missing:
        return Explained(tuple(steps))
    against = [
        entry
        for entry in about
        if (not entry.item or entry.item in missing) and _step(ledger, entry, left, right)
    ]
    return Contradicted(tuple(against)) if against else Unexplained(tuple(missing), tuple(steps))


def explain_change(ledger: Ledger, change: compare.Change, left: Build, right: Build) -> Verdict:
    """What explains a change between two neighbours.

    Where only one of them has facts, the cells' statuses are what differs.
    """
    one, other, difference = change.before, change.after, change.difference
    if bool(one.facts) != bool(other.facts) or not difference.fact:
        return explain(ledger, one.experiment, one.variant, "", left, _cell(one), right, _cell(other))
    return explain(
        ledger, one.experiment, one.variant, difference.fact, left, difference.before, right, difference.after
    )


def contradictions(ledger: Ledger, record: Record, build: Build) -> tuple[Contradiction, ...]:
    """The entries that say this cell shows something else.

    Nothing is said of a cell that is `error` or `unstable`.
    """
    if record.status in (Status.ERROR, Status.UNSTABLE):
        return ()
    groups: dict[tuple[str, str], list[Change]] = {}
    for entry in ledger.changes:
        if entry.is_about(record.experiment, record.variant) and (record.facts or not entry.fact):
            groups.setdefault((entry.fact, entry.item), []).append(entry)
    found = []
    for (fact, item), entries in groups.items():
        shown = _value(record, fact, item)
        holds = [(entry, contains(build, entry.commit, ledger.surveyed)) for entry in entries]
        if all(held is not None for _, held in holds) and _mark(shown) not in _expected(holds):
            found += [
                Contradiction(entry, shown, entry.after if held else entry.before) for entry, held in holds
            ]
    return tuple(found)


def unexercised(ledger: Ledger, builds: Iterable[Build]) -> tuple[str, ...]:
    """The keys of commits that none of these builds differ in."""
    some = list(builds)
    answers = {
        key: {contains(build, commit, ledger.surveyed) for build in some}
        for key, commit in ledger.commits.items()
    }
    return tuple(key for key, seen in answers.items() if not {True, False} <= seen)


def _way(
    ledger: Ledger, entries: list[Change], left: Build, before: Value, right: Build, after: Value
) -> tuple[Change, ...] | None:
    """The shortest way from one value to the other, each entry used once."""
    steps = [(entry, *step) for entry in entries if (step := _step(ledger, entry, left, right))]
    reached: deque[tuple[Any, tuple[int, ...]]] = deque([(_mark(before), ())])
    while reached:
        mark, taken = reached.popleft()
        if mark == _mark(after) and taken:
            return tuple(steps[number][0] for number in taken)
        reached.extend(
            (_mark(end), (*taken, number))
            for number, (_, start, end) in enumerate(steps)
            if number not in taken and _mark(start) == mark
        )
    return None


def _step(ledger: Ledger, entry: Change, left: Build, right: Build) -> tuple[Value, Value] | None:
    """From what the left kernel shows to what the right one does, if they differ in this entry's
    commit.
    """
    held = contains(left, entry.commit, ledger.surveyed), contains(right, entry.commit, ledger.surveyed)
    if held == (False, True):
        return entry.before, entry.after
    return (entry.after, entry.before) if held == (True, False) else None


def _expected(holds: list[tuple[Change, bool | None]]) -> set[Any]:
    """The values that a kernel may show.

    What one commit made of the fact another that is there as well may have changed further.
    """
    made = {_mark(entry.after) for entry, held in holds if held}
    found = {_mark(entry.before) for entry, held in holds if held}
    left = {_mark(entry.before) for entry, held in holds if not held}
    absent = {_mark(entry.after) for entry, held in holds if not held}
    return (made - found or made) | (left - absent or left) | {_in_turn(holds)}


def _in_turn(holds: list[tuple[Change, bool | None]]) -> Any:
    """What the fact comes to when the commits are made in their order upstream: one may lead back
    to where another began.
    """
    ordered = sorted(holds, key=lambda hold: release_key(hold[0].commit.mainline or "999"))
    value = _mark(ordered[0][0].before)
    for entry, held in ordered:
        if held and _mark(entry.before) == value:
            value = _mark(entry.after)
    return value


def _parts(before: Value, after: Value) -> dict[str, tuple[Value, Value]]:
    """The elements or keys in which two lists or two dicts differ."""
    one, other = _items(before), _items(after)
    if one is None or other is None:
        return {}
    return {
        item: (one.get(item), other.get(item))
        for item in sorted(one.keys() | other.keys())
        if one.get(item) != other.get(item)
    }


def _items(value: Value) -> dict[str, Value] | None:
    if isinstance(value, list):
        return dict.fromkeys(value, True)
    return dict(value) if isinstance(value, dict) else None


def _value(record: Record, fact: str, item: str) -> Value:
    if not fact:
        return _cell(record)
    value = record.facts.get(fact)
    return (_items(value) or {}).get(item) if item else value


def _cell(record: Record) -> str:
    return ANSWERED if record.facts else record.status.value


def _mark(value: Value) -> Any:
    """Something hashable that is equal where values are: 1 is not True."""
    if isinstance(value, list):
        return list, tuple(value)
    return (dict, tuple(sorted(value.items()))) if isinstance(value, dict) else (type(value), value)
