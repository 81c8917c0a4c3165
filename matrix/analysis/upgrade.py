"""What changes for somebody who goes from one kernel to another: every difference, told by the
commit behind it, gravest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from guest.catalogue import Experiment
from matrix.analysis.compare import Change, Difference, Kind, comparable, differences
from matrix.analysis.impact import Impact, impact_of
from matrix.analysis.ledger.contains import contains
from matrix.analysis.ledger.explain import Verdict, explain_change
from matrix.analysis.ledger.model import Commit, Ledger
from matrix.analysis.variants import grouped
from matrix.plan.plan import variant_name
from matrix.results.directory import cell_path
from matrix.results.latest import LatestAnswers, read_finished
from matrix.results.manifest import KernelEntry
from matrix.results.record import FactValue, Record, Status
from vms.errors import UsageError
from vms.kernels.order import build_key

_Seen = tuple[Record, Path | None]
"""A record, and its cell's directory if that was kept."""

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


@dataclass(frozen=True)
class UpgradeItem:
    """One thing that changes: by these commits, or if there are none by nobody knows what.

    `against` names entries it contradicts.
    """

    severity: Severity
    impact: Impact
    commits: tuple[Commit, ...]
    against: tuple[Commit, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class UpgradeReport:
    """An upgrade.

    `unseen_gained` and `unseen_lost` are commits that only the right or only the left kernel holds,
    which no cell shows.
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
        """1 if something breaks or changes without a known reason, else 0."""
        return (
            1 if any(item.severity in (Severity.BREAKING, Severity.UNEXPLAINED) for item in self.items) else 0
        )


@dataclass(frozen=True)
class Answers:
    """Everything that the runs on this machine know.

    `runs` maps the start of a run to its directory, as seen from the checkout, if the evidence of
    its cells is there.
    """

    known: LatestAnswers = field(default_factory=LatestAnswers)
    runs: Mapping[str, Path] = field(default_factory=dict)

    def pick(self, spec: str) -> KernelEntry:
        """The newest build that answered and has this name, id, release, version or series, a cloud
        one if there is.

        Raises UsageError if there is none.
        """
        answered = {kernel for kernel, _, _ in self.known.answers}
        builds = [entry for entry in self.known.kernels.values() if entry.id in answered]
        found = [entry for entry in builds if spec in (entry.name, entry.id, entry.release, entry.version)]
        found = found or [entry for entry in builds if entry.series == spec]
        if not found:
            have = ", ".join(entry.name for entry in sorted(builds, key=build_key)) or "none yet"
            raise UsageError(
                f"no run has asked a kernel {spec!r} (asked were: {have}); `./invoke matrix -k {spec}`"
                " asks it"
            )
        return max(found, key=lambda entry: (entry.flavour == "cloud", build_key(entry)))

    def of(self, kernel: KernelEntry) -> dict[tuple[str, str], _Seen]:
        """The kernel's records by experiment and variant, each with its cell's directory if it was
        kept.
        """
        return {
            (experiment, variant): (
                answer.record,
                cell_path(self.runs[answer.seen], answer.record) if answer.seen in self.runs else None,
            )
            for (key, experiment, variant), answer in self.known.answers.items()
            if key == kernel.id
        }


def read_answers(results: Path, complain: Callable[[str], None]) -> Answers:
    """The newest answer of every cell in any run, `results/reference` included.

    `complain` is told of each run that cannot be read and is left out.
    """
    known, runs = LatestAnswers(), dict[str, Path]()
    for path in sorted(
        path.parent for path in results.glob("*/manifest.json") if not path.parent.is_symlink()
    ):
        try:
            manifest, records = read_finished(path)
        except UsageError as error:
            complain(f"left out: {error}")
            continue
        known = known.with_run(manifest, records)
        if (path / "cells").is_dir():
            runs[manifest.started] = path.relative_to(results.parent)
    return Answers(known, runs)


def upgrade(
    answers: Answers,
    left: KernelEntry,
    right: KernelEntry,
    ledger: Ledger,
    catalogue: Mapping[str, Experiment],
) -> UpgradeReport:
    """The report of going from `left` to `right`."""
    before, after = (_asked_now(answers.of(kernel), catalogue) for kernel in (left, right))
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
            severity, commits, against = _severity(ledger, Change(one[0], other[0], difference), left, right)
            subject = "" if commits else key[0]  # what nobody explains is told experiment by experiment
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
    gained, lost = _between(ledger, left, right, shown)
    return UpgradeReport(
        left, right, len(both), differing, len({*before, *after}) - len(both), tuple(items), gained, lost
    )


def _asked_now(
    cells: Mapping[tuple[str, str], _Seen], catalogue: Mapping[str, Experiment]
) -> dict[tuple[str, str], _Seen]:
    """Without the cells of variants that their experiment no longer has."""
    asked = {
        name: {variant_name(variant) for variant in experiment.combinations()}
        for name, experiment in catalogue.items()
    }
    return {key: seen for key, seen in cells.items() if key[0] not in asked or key[1] in asked[key[0]]}


@dataclass(frozen=True)
class _Sight:
    """A difference and the two cells in which it was seen."""

    difference: Difference
    before: _Seen
    after: _Seen


def _severity(
    ledger: Ledger, change: Change, left: KernelEntry, right: KernelEntry
) -> tuple[Severity, tuple[Commit, ...], tuple[Commit, ...]]:
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
    """The sights, those of one experiment that saw the same put together."""
    told = []
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
        told.append(
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
            )
        )
    return tuple(told)


def _breadth(item: UpgradeItem) -> int:
    return len({evidence.experiment for evidence in item.evidence}) * 1000 + len(item.evidence)


def _between(
    ledger: Ledger, left: KernelEntry, right: KernelEntry, shown: Iterable[str]
) -> tuple[tuple[Commit, ...], tuple[Commit, ...]]:
    """The other commits that the right kernel alone holds, and those that the left one alone
    does.
    """
    gained, lost = [], []
    for commit in ledger.commits.values():
        held = contains(left, commit, ledger.surveyed), contains(right, commit, ledger.surveyed)
        if commit.key not in shown and held == (False, True):
            gained.append(commit)
        elif commit.key not in shown and held == (True, False):
            lost.append(commit)
    return tuple(gained), tuple(lost)
