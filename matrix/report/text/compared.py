"""Prints a comparison on the terminal: what differs, and how much is the same."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.analysis.compare import Kind
from matrix.analysis.comparison import Compared, Comparison
from matrix.analysis.fact_value import delta, item_texts, items
from matrix.analysis.ledger.explain import Verdict
from matrix.plan.plan import cell_label
from matrix.report.text.grid import fact_text
from matrix.results.record import FactValue
from vms.text import shown

_STYLES = {
    Verdict.EXPLAINED: "green",
    Verdict.UNEXPLAINED: "bold yellow",
    Verdict.CONTRADICTED: "bold red",
    None: "dim",
}
_MOST_ONE_SIDED = 10
_WHOLE_CHARACTERS = 60


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints a line for each fact that is not the same, then the counts, the cells that now fail,
    and those that only one side has.
    """
    differing = [fact for fact in comparison.facts if fact.difference.kind is not Kind.SAME]
    if differing:
        console.print(_table(differing, comparison))
    counts = ", ".join(f"{number} {kind}" for kind, number in comparison.counts.items())
    verdicts = ", ".join(
        f"{number} {verdict}"
        for verdict in Verdict
        if (number := sum(fact.verdict is verdict for fact in comparison.facts))
    )
    said = f"{comparison.before} -> {comparison.after}: {counts or 'nothing to compare'}" + (
        f" ({verdicts})" if verdicts else ""
    )
    console.print(Text(said), soft_wrap=True)
    for line in comparison.broken:
        console.print(Text(f"now fails: {shown(line)}", "bold red"), soft_wrap=True)
    if comparison.one_sided:
        more = len(comparison.one_sided) - _MOST_ONE_SIDED
        listed = ", ".join(shown(text) for text in comparison.one_sided[:_MOST_ONE_SIDED])
        console.print(
            Text(f"only on one side: {listed}" + (f" and {more} more" if more > 0 else "")), soft_wrap=True
        )


def _table(facts: list[Compared], comparison: Comparison) -> Table:
    kernels = len({fact.after for fact in facts}) > 1
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in (
        "experiment",
        "fact",
        *(["kernel"] if kernels else []),
        comparison.before,
        comparison.after,
        "what",
        "why",
    ):
        table.add_column(column, overflow="fold")
    for fact in facts:
        style = _STYLES[fact.verdict]
        table.add_row(
            Text(cell_label(fact.experiment, fact.label)),
            Text(fact.difference.fact),
            *([Text(fact.after)] if kernels else []),
            *(Text(value) for value in _values(fact.difference.before, fact.difference.after)),
            Text(fact.difference.kind, style),
            Text(
                ": ".join(filter(None, (fact.verdict, "; ".join(shown(title) for title in fact.commits)))),
                style,
            ),
        )
    return table


def _values(before: FactValue | None, after: FactValue | None) -> tuple[str, str]:
    """Both values; an ellipsis replaces the items that long lists and maps have in common."""
    whole = _value(before), _value(after)
    if before is None or after is None or max(map(len, whole)) <= _WHOLE_CHARACTERS:
        return whole
    differing = delta(before, after)
    sides = item_texts(before, differing.before), item_texts(after, differing.after)
    disjoint = (differing.before, differing.after) == (items(before), items(after))
    if disjoint or not any(sides):  # or no list or map, or only the order differs
        return whole
    first, second = (f"… {fact_text(side)}" if side else "…" for side in sides)
    return first, second


def _value(value: FactValue | None) -> str:
    return "-" if value is None else fact_text(value)
