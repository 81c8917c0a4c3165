"""Which commits explain that two kernels differ, and which entries of the ledger a kernel
contradicts.

Several commits may lie between two kernels, so a difference is explained by a path from one value
to the other. Each step is an entry whose commit one kernel holds and the other lacks, taken in that
direction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from matrix.analysis import compare
from matrix.analysis.fact_value import delta, frozen, items
from matrix.analysis.ledger.contains import contains, holds_all, known_to_hold_all
from matrix.analysis.ledger.model import Change, Commit, Ledger
from matrix.results.record import ANSWERED, FactValue, Record, Status
from vms.kernels.kernel import Build
from vms.kernels.order import release_key

Value = FactValue | None


class Verdict(StrEnum):
    """The ledger's verdict on a change, the least serious first."""

    EXPLAINED = "explained"
    UNEXPLAINED = "unexplained"
    CONTRADICTED = "contradicted"

    @property
    def rank(self) -> int:
        """Its place in the order of seriousness, from 0."""
        return list(Verdict).index(self)


@dataclass(frozen=True)
class Explanation:
    """A verdict and the ledger's entries behind it.

    `explained`: the entries lead from the left value to the right one, in this order.
    `unexplained`: no entries lead there; of a list or map `missing` names the elements or keys that
    are not explained, and the entries explain the others. `contradicted`: the entries predict
    another difference between the two kernels. `commits`: those of the entries that one kernel
    holds and the other lacks, each once.
    """

    verdict: Verdict
    entries: tuple[Change, ...] = ()
    missing: tuple[str, ...] = ()
    commits: tuple[Commit, ...] = ()


@dataclass(frozen=True)
class Contradiction:
    """A kernel that shows `shown` where the entry predicts `expected`."""

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
) -> Explanation:
    """Explains that a fact is `before` on the left kernel and `after` on the right one; None where
    the fact is absent.
    """

    def found(verdict: Verdict, entries: Sequence[Change], missing: Sequence[str] = ()) -> Explanation:
        commits = _of_one_only(ledger, entries, left, right)
        return Explanation(verdict, tuple(entries), tuple(missing), commits)

    about = [entry for entry in ledger.changes if entry.is_about(experiment, variant) and entry.fact == fact]
    whole = _path(ledger, [entry for entry in about if not entry.item], left, before, right, after)
    if whole is not None:
        return found(Verdict.EXPLAINED, whole)
    steps: list[Change] = []
    missing = []
    differing = delta(before, after)
    for item in sorted({*differing.before, *differing.after}):
        one, other = differing.before.get(item), differing.after.get(item)
        path = _path(ledger, [entry for entry in about if entry.item == item], left, one, right, other)
        if path is None:
            missing.append(item)
        else:
            steps += path
    if steps and not missing:
        return found(Verdict.EXPLAINED, steps)
    against = [
        entry
        for entry in about
        if (not entry.item or entry.item in missing)
        and {known_to_hold_all(left, entry, ledger), known_to_hold_all(right, entry, ledger)} == {True, False}
    ]
    if against:
        return found(Verdict.CONTRADICTED, against)
    return found(Verdict.UNEXPLAINED, steps, missing)


def explain_change(ledger: Ledger, change: compare.Change, left: Build, right: Build) -> Explanation:
    """Explains a change between two neighbours.

    If only one of them has facts, the cells' statuses are compared.
    """
    one, other, difference = change.before, change.after, change.difference
    if bool(one.facts) != bool(other.facts) or not difference.fact:
        return explain(ledger, one.experiment, one.variant, "", left, _cell(one), right, _cell(other))
    return explain(
        ledger, one.experiment, one.variant, difference.fact, left, difference.before, right, difference.after
    )


def contradictions(ledger: Ledger, record: Record, build: Build) -> tuple[Contradiction, ...]:
    """The entries that predict another value for this cell; none for `error` and `unstable`."""
    if record.status in (Status.ERROR, Status.UNSTABLE):
        return ()
    groups: dict[tuple[str, str], list[Change]] = {}
    for entry in ledger.changes:
        if entry.is_about(record.experiment, record.variant) and (record.facts or not entry.fact):
            groups.setdefault((entry.fact, entry.item), []).append(entry)
    found = []
    for (fact, item), entries in groups.items():
        shown = _value(record, fact, item)
        holds = [(entry, holds_all(build, entry, ledger)) for entry in entries]
        if all(held is not None for _, held in holds) and frozen(shown) not in _expected(holds):
            found += [
                Contradiction(entry, shown, entry.after if held else entry.before) for entry, held in holds
            ]
    return tuple(found)


def unexercised(ledger: Ledger, builds: Iterable[Build]) -> tuple[str, ...]:
    """The keys of commits that all or none of these builds hold."""
    some = list(builds)
    answers = {
        key: {contains(build, commit, ledger.read) for build in some}
        for key, commit in ledger.commits.items()
    }
    return tuple(key for key, seen in answers.items() if not {True, False} <= seen)


def _of_one_only(ledger: Ledger, entries: Iterable[Change], left: Build, right: Build) -> tuple[Commit, ...]:
    """The entries' commits that one kernel holds and the other lacks, each once."""
    commits = dict.fromkeys(commit for entry in entries for commit in entry.commits)
    return tuple(
        commit
        for commit in commits
        if contains(left, commit, ledger.read) is not contains(right, commit, ledger.read)
    )


def _path(
    ledger: Ledger, entries: list[Change], left: Build, before: Value, right: Build, after: Value
) -> tuple[Change, ...] | None:
    """The shortest path from one value to the other, each entry used once; None without one."""
    steps = [(entry, *step) for entry in entries if (step := _step(ledger, entry, left, right))]
    reached: deque[tuple[Hashable, tuple[int, ...]]] = deque([(frozen(before), ())])
    while reached:
        mark, taken = reached.popleft()
        if mark == frozen(after) and taken:
            return tuple(steps[number][0] for number in taken)
        reached.extend(
            (frozen(end), (*taken, number))
            for number, (_, start, end) in enumerate(steps)
            if number not in taken and frozen(start) == mark
        )
    return None


def _step(ledger: Ledger, entry: Change, left: Build, right: Build) -> tuple[Value, Value] | None:
    """The entry's values on the left and on the right kernel, if they differ in its commits."""
    held = holds_all(left, entry, ledger), holds_all(right, entry, ledger)
    if held == (False, True):
        return entry.before, entry.after
    return (entry.after, entry.before) if held == (True, False) else None


def _expected(holds: list[tuple[Change, bool | None]]) -> set[Hashable]:
    """The values that a kernel may show.

    What one commit makes of the fact, another may change further. Say A turns 10 into 7, and B
    turns 7 into 8. With both, `made` is {7, 8} and `found` {10, 7}, so 8 remains. With A alone,
    `made` is {7}, and `left` is {7} too, which B would have found. With neither, `left` is {10, 7}
    and `absent` {7, 8}, so 10 remains. With B alone 8 and 10 may be shown: the ledger does not say
    what B makes of 10. Where nothing remains, because C turns 7 back into 10, all are accepted.
    """
    made = {frozen(entry.after) for entry, held in holds if held}
    found = {frozen(entry.before) for entry, held in holds if held}
    left = {frozen(entry.before) for entry, held in holds if not held}
    absent = {frozen(entry.after) for entry, held in holds if not held}
    return (made - found or made) | (left - absent or left) | {_in_turn(holds)}


def _in_turn(holds: list[tuple[Change, bool | None]]) -> Hashable:
    """The fact's value after the held commits in upstream order: one may lead back to where another
    began.
    """
    ordered = sorted(
        holds, key=lambda hold: max(release_key(one.mainline or "999") for one in hold[0].commits)
    )
    value = frozen(ordered[0][0].before)
    for entry, held in ordered:
        if held and frozen(entry.before) == value:
            value = frozen(entry.after)
    return value


def _value(record: Record, fact: str, item: str) -> Value:
    if not fact:
        return _cell(record)
    value = record.facts.get(fact)
    return (items(value) or {}).get(item) if item else value


def _cell(record: Record) -> str:
    return ANSWERED if record.facts else record.status.value
