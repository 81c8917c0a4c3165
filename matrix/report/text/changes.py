"""What changed between neighbouring kernels, and which commits explain it, as Markdown."""

from __future__ import annotations

from matrix.analysis.analysis import Analysis
from matrix.analysis.ledger.explain import Verdict
from matrix.analysis.ledger.model import Commit
from matrix.plan.plan import cell_label
from matrix.report.escape import plain
from matrix.report.text.grid import fact_text
from matrix.results.record import FactValue


def changes(analysis: Analysis) -> list[str]:
    """Lines of Markdown: a row for each fact that differs from the kernel to the left, in the
    table's order.
    """
    kernels = analysis.table.kernels
    found = []
    for row, of_row in analysis.rows:
        label = plain(cell_label(row.experiment, row.label))
        for change in of_row.values():
            between = f"{plain(kernels[change.before].name)} → {plain(kernels[change.after].name)}"
            for fact in change.facts:
                name = plain(fact.difference.fact) or "the cell"
                values = f"{_value(fact.difference.before)} → {_value(fact.difference.after)}"
                verdict, commits = fact.explanation.verdict, fact.explanation.commits
                bold = "" if verdict is Verdict.EXPLAINED else f"**{verdict}** "
                found.append(
                    f"| {label} | {name} | {between} | {values} |"
                    f" {bold}{'<br>'.join(map(commit_line, commits))} |"
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
    """A commit in one line: its effect for a user, its title as a link, and the releases that first
    held it.
    """
    title = f"[{plain(commit.title)}]({commit.link})" if commit.link else plain(commit.title)
    where = ", ".join(
        [*([commit.mainline] if commit.mainline else []), *commit.backports, *commit.distribution]
    )
    return f"{plain(commit.sentence)} {title} ({plain(where)}; {plain(commit.confirmed)})"


def _value(value: FactValue | None) -> str:
    return "-" if value is None else plain(fact_text(value))
