"""Analyses a run for the reports: its table, and each change with the ledger's verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from guest.catalogue import Experiment
from matrix.analysis.compare import Change, Difference, differences, neighbours
from matrix.analysis.ledger.contains import contains
from matrix.analysis.ledger.explain import Explanation, Verdict, explain_change
from matrix.analysis.ledger.model import Commit, Ledger
from matrix.analysis.table import Row, Table, make_table
from matrix.results.manifest import KernelEntry, Manifest
from matrix.results.record import Record, Status


@dataclass(frozen=True)
class ExplainedFact:
    """One fact that changed, and the ledger's explanation."""

    difference: Difference
    explanation: Explanation


@dataclass(frozen=True)
class ExplainedChange:
    """All that differs between a cell and its nearest comparable left neighbour. Columns count from
    0.

    `lost` are the commits that the left kernel holds and the right one does not.
    """

    before: int
    after: int
    facts: tuple[ExplainedFact, ...]
    lost: tuple[Commit, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The most serious verdict of its facts."""
        return max((fact.explanation.verdict for fact in self.facts), key=lambda verdict: verdict.rank)


@dataclass(frozen=True)
class Analysis:
    """A run, analysed once for all reports.

    `changes`: for each row of the table its changes, by the column of the later kernel.
    """

    table: Table
    changes: tuple[Mapping[int, ExplainedChange], ...]
    records: tuple[Record, ...]
    catalogue: Mapping[str, Experiment]

    @property
    def rows(self) -> Iterator[tuple[Row, Mapping[int, ExplainedChange]]]:
        """The table's rows with their changes."""
        return zip(self.table.rows, self.changes, strict=True)

    @property
    def unexplained(self) -> tuple[tuple[Row, ExplainedChange], ...]:
        """The changes that the ledger does not explain, or contradicts, with their rows."""
        return tuple(
            (row, change)
            for row, changes in self.rows
            for change in changes.values()
            if change.verdict is not Verdict.EXPLAINED
        )

    @property
    def leaks(self) -> tuple[Record, ...]:
        """The cells that had another answer in a guest that was asked another experiment before."""
        return tuple(record for record in self.records if record.leak)

    @property
    def exit_code(self) -> int:
        """The exit code of `./invoke matrix`."""
        counts = self.table.counts
        return exit_code(
            unexplained=bool(self.unexplained),
            failed=any(number and status.is_unexpected for status, number in counts.items())
            or any(record.compared_splats for record in self.records),
            errors=counts[Status.ERROR] > 0 or bool(self.leaks),
        )


def analyse(
    manifest: Manifest, records: Sequence[Record], catalogue: Mapping[str, Experiment], ledger: Ledger
) -> Analysis:
    """The analysis of a run, which need not be finished."""
    table = make_table(manifest, records, catalogue)
    changes = tuple(_changes(row, table.kernels, ledger) for row in table.rows)
    return Analysis(table, changes, tuple(records), catalogue)


def exit_code(*, unexplained: bool, failed: bool, errors: bool) -> int:
    """1 if a kernel failed or changed without an explanation, else 3 if the tool itself failed for
    any cell, a leaking experiment included, else 0.

    Kernel findings take precedence: they remain valid even if some cells errored.
    """
    if unexplained or failed:
        return 1
    return 3 if errors else 0


def _changes(row: Row, kernels: Sequence[KernelEntry], ledger: Ledger) -> Mapping[int, ExplainedChange]:
    changes = {}
    for left, right, before, after in neighbours(row.records):
        if not row.changed[right]:
            continue
        facts = tuple(
            ExplainedFact(
                difference,
                explain_change(ledger, Change(before, after, difference), kernels[left], kernels[right]),
            )
            for difference in differences(before, after)
        )
        commits = dict.fromkeys(commit for fact in facts for commit in fact.explanation.commits)
        lost = (commit for commit in commits if contains(kernels[right], commit, ledger.read) is False)
        changes[right] = ExplainedChange(left, right, facts, tuple(lost))
    return changes
