"""The figures of a bench as a table for people, with their bars below it."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.figure import Figure, bar, plot

_COLUMNS = ("measurement", "figure", "value", "floor", "above it", "goal", "what it is")
_RIGHT = ("value", "floor", "above it")


def bench_table(results: Mapping[str, list[Figure]]) -> RenderableType:
    """One line per figure; `above it` is how many times the floor the value is."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in _RIGHT else "left", overflow="fold")
    bars = []
    for name, figures in results.items():
        for number, figure in enumerate(figures):
            table.add_row(*(Text(cell) for cell in ("" if number else name, *_row(figure))))
            if figure.shares:
                bars.append(Text(f"{name} {figure.key}: where the {figure.unit} go\n  {bar(figure.shares)}"))
            if figure.series:
                bars.append(Text(f"{name} {figure.key}: {figure.unit} over time\n  {plot(figure.series)}"))
    return Group(table, *bars)


def _row(figure: Figure) -> tuple[str, ...]:
    floor, above = "", ""
    if figure.floor is not None:
        floor = f"{number(figure.floor)} {figure.unit}"
        above = f"{figure.value / figure.floor:.1f}x" if figure.floor else ""
    meaning = figure.meaning + (f"; floor: {figure.floor_what}" if figure.floor_what else "")
    return figure.key, f"{number(figure.value)} {figure.unit}", floor, above, figure.goal, meaning


def number(value: float) -> str:
    """With as many digits as anyone reads."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
