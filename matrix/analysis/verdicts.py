"""What the ledger makes of every change in a row, for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matrix.analysis.compare import Change, Difference, comparable, differences, left_neighbours
from matrix.analysis.ledger.contains import contains
from matrix.analysis.ledger.explain import Contradicted, Explained, Unexplained, Verdict, explain_change
from matrix.analysis.ledger.model import Commit, Ledger
from matrix.analysis.table import Row
from matrix.results.manifest import KernelEntry

EXPLAINED, UNEXPLAINED, CONTRADICTED = "explained", "unexplained", "contradicted"
_GRAVITY = (EXPLAINED, UNEXPLAINED, CONTRADICTED)


@dataclass(frozen=True)
class Fact:
    """One fact that changed: what the ledger makes of it, the commits that it names, and the items
    of the fact that no commit explains.
    """

    difference: Difference
    verdict: str
    commits: tuple[Commit, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExplainedChange:
    """All that differs between a cell and its nearest comparable left neighbour. Columns count from
    0.

    `lost` are the commits that the left kernel holds and the right one does not.
    """

    before: int
    after: int
    facts: tuple[Fact, ...]
    lost: tuple[Commit, ...] = ()

    @property
    def verdict(self) -> str:
        """The gravest verdict of its facts."""
        return max((fact.verdict for fact in self.facts), key=_GRAVITY.index)


def explained_changes(
    row: Row, kernels: tuple[KernelEntry, ...], ledger: Ledger
) -> Mapping[int, ExplainedChange]:
    """The changes of a row by the column in which they are seen first."""
    changes = {}
    last = -1
    for column, (before, after) in enumerate(zip(left_neighbours(row.records), row.records, strict=True)):
        if before is not None and after is not None and row.changed[column]:
            seen = [Change(before, after, difference) for difference in differences(before, after)]
            facts = tuple(
                _fact(change, explain_change(ledger, change, kernels[last], kernels[column]))
                for change in seen
            )
            commits = dict.fromkeys(commit for fact in facts for commit in fact.commits)
            lost = tuple(
                commit for commit in commits if contains(kernels[column], commit, ledger.surveyed) is False
            )
            changes[column] = ExplainedChange(last, column, facts, lost)
        if comparable(after):
            last = column
    return changes


def _fact(change: Change, verdict: Verdict) -> Fact:
    commits = tuple(dict.fromkeys(entry.commit for entry in verdict.entries))
    match verdict:
        case Explained():
            return Fact(change.difference, EXPLAINED, commits)
        case Contradicted():
            return Fact(change.difference, CONTRADICTED, commits)
        case Unexplained():
            return Fact(change.difference, UNEXPLAINED, commits, verdict.items)
