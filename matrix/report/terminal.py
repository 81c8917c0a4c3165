"""A run on the terminal, as wide as it is; in a pipe nothing is cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from matrix.record import Status
from matrix.report.grid import Line, Word, lines
from matrix.report.shown import shown
from matrix.table import Table

STYLES: Mapping[Status, str] = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.UNSUPPORTED: "dim",
    Status.UNSTABLE: "magenta",
    Status.CRASH: "bold red",
    Status.TIMEOUT: "red",
    Status.ERROR: "bold white on red",
}
_GAP = 2
_REASON_CHARACTERS = 500


def print_table(table: Table, console: Console) -> None:
    """The matrix: kernels across, experiments down, what differs from its left neighbour marked with `<`."""
    rows = [lines(row) for row in table.rows]
    for columns in _fitting(table, rows, console.width):
        shown_table = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        shown_table.add_column("experiment", no_wrap=True)
        for column in columns:
            shown_table.add_column(table.kernels[column].name, justify="right", overflow="fold")
        for row in rows:
            for line in row:
                label = Text(shown(line.label), "bold" if line.heading else "dim")
                shown_table.add_row(
                    label if line.heading else Text("  ").append_text(label), *(_text(line.words[column]) for column in columns)
                )
        console.print(shown_table)
        console.print()


def print_failures(table: Table, console: Console) -> None:
    """Every cell that is neither `pass` nor `unsupported`, with its reason; equal reasons once."""
    cells: dict[tuple[str, Status, str], list[str]] = {}
    for row in table.rows:
        for record in row.records:
            if record and record.status not in (Status.PASS, Status.UNSUPPORTED):
                reason = shown(record.reason.strip(), _REASON_CHARACTERS)
                cells.setdefault((row.experiment, record.status, reason), []).append(record.kernel)
    for (experiment, status, reason), kernels in cells.items():
        console.print(Text.assemble((status, STYLES[status]), f" {experiment} on {', '.join(kernels)}: {reason}"))


def summary(table: Table) -> str:
    """How many cells ended how: `72 cells: 70 pass, 2 fail`."""
    return f"{sum(table.counts.values())} cells: " + ", ".join(f"{number} {status}" for status, number in table.counts.items() if number)


def _text(word: Word) -> Text:
    text = f"<{word.text}" if word.changed else word.text
    return Text(text, "bold yellow" if word.changed else STYLES[word.status] if word.status else "")


def _fitting(table: Table, rows: Iterable[tuple[Line, ...]], width: int) -> list[list[int]]:
    """The kernels in as many tables as it takes for each to be as wide as the terminal at most."""
    everything = [line for row in rows for line in row]
    labels = max((len(line.label) + 2 for line in everything), default=0)
    parts: list[list[int]] = [[]]
    left = width - labels - _GAP
    for column, kernel in enumerate(table.kernels):
        need = max(len(kernel.name), *(len(line.words[column].text) + 1 for line in everything), 0) + _GAP
        if parts[-1] and need > left:
            parts.append([])
            left = width - labels - _GAP
        parts[-1].append(column)
        left -= need
    return parts
