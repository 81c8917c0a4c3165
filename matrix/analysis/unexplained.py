"""The changes of a run that nobody explained."""

from __future__ import annotations

from dataclasses import dataclass

from matrix.analysis.ledger.model import Ledger
from matrix.analysis.table import Table
from matrix.analysis.verdicts import EXPLAINED, explained_changes


@dataclass(frozen=True)
class Surprise:
    """A fact that differs between two kernels, and the ledger does not say why (`unexplained`) or
    says otherwise (`contradicted`).

    `fact` is empty where the cell as a whole differs.
    """

    experiment: str
    label: str
    fact: str
    before: str
    after: str
    verdict: str


def surprises(table: Table, ledger: Ledger) -> tuple[Surprise, ...]:
    """Every change between neighbours of the table that the ledger does not explain."""
    return tuple(
        Surprise(
            row.experiment,
            row.label,
            fact.difference.fact,
            table.kernels[change.before].name,
            table.kernels[change.after].name,
            fact.verdict,
        )
        for row in table.rows
        for change in explained_changes(row, table.kernels, ledger).values()
        for fact in change.facts
        if fact.verdict != EXPLAINED
    )
