"""What changed between neighbouring kernels, and which commits explain it, as Markdown."""

from __future__ import annotations

from matrix.analysis.ledger.model import Commit, Ledger
from matrix.analysis.table import Table
from matrix.analysis.verdicts import EXPLAINED, explained_changes
from matrix.plan.plan import cell_label
from matrix.report.escape import plain
from matrix.report.text.grid import fact_text
from matrix.results.record import FactValue


def changes(table: Table, ledger: Ledger) -> list[str]:
    """Lines of Markdown: a row for each fact that differs from the kernel to the left, in the
    table's order.
    """
    found = []
    for row in table.rows:
        label = plain(cell_label(row.experiment, row.label))
        for change in explained_changes(row, table.kernels, ledger).values():
            between = (
                f"{plain(table.kernels[change.before].name)} → {plain(table.kernels[change.after].name)}"
            )
            for fact in change.facts:
                name = plain(fact.difference.fact) or "the cell"
                values = f"{_value(fact.difference.before)} → {_value(fact.difference.after)}"
                verdict = "" if fact.verdict == EXPLAINED else f"**{fact.verdict}** "
                found.append(
                    f"| {label} | {name} | {between} | {values} |"
                    f" {verdict}{'<br>'.join(map(commit_line, fact.commits))} |"
                )
    if not found:
        return []
    return [
        "",
        "## What changed",
        "",
        "| experiment | fact | kernels | values | why |",
        "| --- | --- | --- | --- | --- |",
        *found,
    ]


def commit_line(commit: Commit) -> str:
    """A commit in one line: what it means for a user, its title linked, where it is from on."""
    title = f"[{plain(commit.title)}]({commit.link})" if commit.link else plain(commit.title)
    where = ", ".join(
        [*([commit.mainline] if commit.mainline else []), *commit.backports, *commit.distribution]
    )
    return f"{plain(commit.sentence)} {title} ({plain(where)}; {plain(commit.confirmed)})"


def _value(value: FactValue | None) -> str:
    return "-" if value is None else plain(fact_text(value))
