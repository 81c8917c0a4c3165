"""Every difference between two kernels by the commit that causes it, most serious first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from guest.catalogue import Experiment
from matrix.analysis.analysis import exit_code
from matrix.analysis.answers import Answers, Seen
from matrix.analysis.compare import Change, Difference, Kind, comparable, differences
from matrix.analysis.impact import Impact, impact_of
from matrix.analysis.ledger.contains import contains, held_by_one
from matrix.analysis.ledger.explain import Verdict, explain_change
from matrix.analysis.ledger.model import Commit, Ledger
from matrix.analysis.variants import grouped
from matrix.analysis.wording.tell import tell_apart
from matrix.plan.plan import variant_name
from matrix.results.manifest import KernelEntry
from matrix.results.record import FactValue, Status

T = TypeVar("T")

SCHEMA = 2
"""Version of the report's JSON. The first form carried no number, and called `items` chapters."""


class Severity(StrEnum):
    """How a difference affects an upgrade, most serious first."""

    BREAKING = "breaking"
    REGRESSION = "regression"
    REMOVED = "removed"
    UNEXPLAINED = "unexplained"
    CHANGED = "changed"
    IMPROVED = "improved"


@dataclass(frozen=True)
class Evidence:
    """One fact that differs, in the variants in which it does (`label` is empty for all).

    `answers` has what both kernels answer to the question, in words, if words tell them apart.

    The paths are the cells' directories, none if their run has only its results, as
    results/reference.
    """

    experiment: str
    question: str
    label: str
    fact: str
    meaning: str
    before: FactValue | None
    after: FactValue | None
    reason: str
    paths: tuple[str, ...]
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class UpgradeItem:
    """One thing that changes, caused by `commits`; without any the cause is not known.

    `against`: commits from which the ledger predicts another change.
    """

    severity: Severity
    impact: Impact
    commits: tuple[Commit, ...]
    against: tuple[Commit, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class UpgradeReport:
    """The differences between two kernels, `left` the older one.

    `compared`, `differing` and `not_compared` count cells. `unseen_gained` and `unseen_lost` are
    commits that only the right or only the left kernel holds and that no cell shows.
    """

    left: KernelEntry
    right: KernelEntry
    compared: int
    differing: int
    not_compared: int
    items: tuple[UpgradeItem, ...]
    unseen_gained: tuple[Commit, ...]
    unseen_lost: tuple[Commit, ...]
    schema: int = SCHEMA

    @property
    def exit_code(self) -> int:
        """The exit code of `./invoke upgrade`."""
        severities = {item.severity for item in self.items}
        return exit_code(
            unexplained=Severity.UNEXPLAINED in severities,
            failed=Severity.BREAKING in severities,
            errors=False,
        )


def upgrade(
    answers: Answers,
    left: KernelEntry,
    right: KernelEntry,
    ledger: Ledger,
    catalogue: Mapping[str, Experiment],
) -> UpgradeReport:
    """The report of an upgrade from `left` to `right`."""
    before, after = (asked_now(answers.of(kernel), catalogue) for kernel in (left, right))
    both = [
        key for key in before if key in after and comparable(before[key][0]) and comparable(after[key][0])
    ]
    seen: dict[tuple[Severity, tuple[Commit, ...], tuple[Commit, ...], str], list[_Sight]] = defaultdict(list)
    differing = 0
    for key in both:
        one, other = before[key], after[key]
        found = differences(one[0], other[0])
        differing += bool(found)
        for difference in found:
            severity, commits, against = severity_of(
                ledger, Change(one[0], other[0], difference), left, right
            )
            subject = "" if commits else key[0]  # unexplained differences are grouped by experiment
            seen[severity, commits, against, subject].append(_Sight(difference, one, other))
    everything: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for key in both:
        everything[key[0]].append(before[key][0].variant)
    items = [
        _item(severity, commits, against, _evidence(sights, everything, catalogue))
        for (severity, commits, against, _), sights in seen.items()
    ]
    items.sort(
        key=lambda item: (
            list(Severity).index(item.severity),
            list(Impact).index(item.impact),
            -_breadth(item),
        )
    )
    shown = {commit.key for item in items for commit in (*item.commits, *item.against)}
    gained, lost = (
        tuple(commit for commit in commits if commit.key not in shown)
        for commits in held_by_one(ledger, left, right)
    )
    return UpgradeReport(
        left, right, len(both), differing, len({*before, *after}) - len(both), tuple(items), gained, lost
    )


def asked_now(
    cells: Mapping[tuple[str, str], T], catalogue: Mapping[str, Experiment]
) -> dict[tuple[str, str], T]:
    """The cells, which are by experiment and variant, without variants that their experiment no
    longer has. In the order of the experiments' names and of their variants as declared, so that no
    report depends on the order of runs.
    """
    places = {
        name: {variant_name(variant): place for place, variant in enumerate(experiment.combinations())}
        for name, experiment in catalogue.items()
    }
    kept = [key for key in cells if key[0] not in places or key[1] in places[key[0]]]
    kept.sort(key=lambda key: (key[0], places.get(key[0], {}).get(key[1], 0), key[1]))
    return {key: cells[key] for key in kept}


@dataclass(frozen=True)
class _Sight:
    """A difference, and the two cells that show it."""

    difference: Difference
    before: Seen
    after: Seen


def severity_of(
    ledger: Ledger, change: Change, left: KernelEntry, right: KernelEntry
) -> tuple[Severity, tuple[Commit, ...], tuple[Commit, ...]]:
    """How a change between two kernels affects an upgrade, the commits that explain it, and those
    from which the ledger predicts another change.
    """
    found = explain_change(ledger, change, left, right)
    explained = found.commits if found.verdict is Verdict.EXPLAINED else ()
    against = found.commits if found.verdict is Verdict.CONTRADICTED else ()
    before, after = change.before.status, change.after.status
    if after.is_failure and not before.is_failure:
        severity = Severity.BREAKING
    elif any(contains(left, commit, ledger.surveyed) for commit in explained):
        severity = Severity.REGRESSION
    elif change.difference.kind is Kind.UNSUPPORTED:
        severity = Severity.REMOVED
    elif before.is_failure or before is Status.UNSUPPORTED:
        severity = Severity.IMPROVED
    else:
        severity = Severity.CHANGED if explained else Severity.UNEXPLAINED
    return severity, explained, against


def _item(
    severity: Severity,
    commits: tuple[Commit, ...],
    against: tuple[Commit, ...],
    evidence: tuple[Evidence, ...],
) -> UpgradeItem:
    impacts = [impact_of(one.fact, one.meaning, one.before, one.after) for one in evidence]
    return UpgradeItem(severity, min(impacts, key=list(Impact).index), commits, against, evidence)


def _evidence(
    sights: Sequence[_Sight],
    everything: Mapping[str, list[Mapping[str, str]]],
    catalogue: Mapping[str, Experiment],
) -> tuple[Evidence, ...]:
    """The sights as evidence; variants of an experiment with the same difference are one."""
    found = []
    for label, group in grouped(
        sights,
        key=lambda sight: (sight.before[0].experiment, sight.difference.key),
        variant=lambda sight: sight.after[0].variant,
        everything=lambda sight: everything[sight.after[0].experiment],
    ):
        first = group[0]
        record, difference = first.after[0], first.difference
        experiment = catalogue.get(record.experiment)
        meanings = {fact.name: fact.meaning for fact in experiment.facts} if experiment else {}
        found.append(
            Evidence(
                experiment=record.experiment,
                question=experiment.question if experiment else "",
                label=label,
                fact=difference.fact,
                meaning=meanings.get(difference.fact, ""),
                before=difference.before,
                after=difference.after,
                reason=record.reason or first.before[0].reason,
                paths=tuple(str(path) for _, path in (first.before, first.after) if path),
                answers=tell_apart((sight.before[0], sight.after[0]) for sight in group),
            )
        )
    return tuple(found)


def _breadth(item: UpgradeItem) -> int:
    return len({evidence.experiment for evidence in item.evidence}) * 1000 + len(item.evidence)
