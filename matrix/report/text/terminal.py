"""Prints a run on the terminal, as wide as that is; in a pipe nothing is cut."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from matrix.analysis.analysis import Analysis
from matrix.analysis.ledger.explain import Verdict
from matrix.analysis.table import Table
from matrix.plan.plan import cell_label
from matrix.report.text.grid import Lines, Word, lines
from matrix.report.words import counted, leak_in_words
from matrix.results.record import Status
from vms.text import shown

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
_WIDEST = 30  # a kernel's column; longer values are folded
_WIDEST_LABEL = 44
_REASON_CHARACTERS = 500


def print_table(table: Table, console: Console) -> None:
    """Prints the matrix: kernels across, experiments down; `<` marks a cell that differs from its
    left neighbour.

    A terminal too narrow for all kernels gets several tables. Other output is never folded: a value
    wider than its column moves the rest of its line to the right.
    """
    rows = [lines(row) for row in table.rows]
    widths = _widths(table, rows)
    for number, columns in enumerate(_fitting(widths, console.width)):
        _print_lines(
            [("experiment", [table.kernels[column].name for column in columns], "bold")],
            widths,
            columns,
            console,
        )
        for row in rows:
            _print_lines(_lines(row, columns), widths, columns, console)
            if number == 0:
                _print_below(row, console)
        console.print()


def _print_below(row: Lines, console: Console) -> None:
    """Prints the question that the row's words answer, or the facts that all kernels share."""
    same = "everywhere: " + " · ".join(f"{fact} {value}" for fact, value in row.everywhere)
    below = Text(same if row.everywhere else row.question, "dim")
    if not below:
        return
    if console.is_terminal:
        console.print(Padding(below, (0, 0, 0, 2)))
    else:
        console.print(Text("  ") + below, soft_wrap=True)


def print_failures(table: Table, console: Console) -> None:
    """Prints the cells that are neither `pass` nor `unsupported`, a line for each reason."""
    cells: dict[tuple[Status, str], tuple[list[str], list[str]]] = {}
    for row in table.rows:
        for record in row.records:
            if record and record.status not in (Status.PASS, Status.UNSUPPORTED):
                experiments, kernels = cells.setdefault((record.status, headline(record.reason)), ([], []))
                experiments.append(row.experiment)
                kernels.append(record.kernel)
    for (status, reason), (experiments, kernels) in cells.items():
        where = f"{', '.join(dict.fromkeys(experiments))} on {', '.join(dict.fromkeys(kernels))}"
        console.print(Text.assemble((status, STYLES[status]), f" {where}: {reason}"), soft_wrap=True)


def print_splats(table: Table, console: Console) -> None:
    """Prints a line for each error that a kernel reported in its log, and where; first those of
    the boots.
    """
    for kernel, reported in table.boots:
        line = Text.assemble(("boot", "bold red"), f" {kernel}: {reported}")
        console.print(line, soft_wrap=True)
    for splat, records in table.splats.items():
        experiments = dict.fromkeys(record.experiment for record in records)
        where = f"{', '.join(experiments)} on {', '.join(dict.fromkeys(record.kernel for record in records))}"
        line = Text.assemble(("splat", "bold red"), f" {where}: {splat.line}")
        console.print(line, soft_wrap=True)


def print_unexplained(analysis: Analysis, console: Console) -> None:
    """Prints a line for each changed fact that the ledger does not explain, or contradicts."""
    kernels = analysis.table.kernels
    for row, change in analysis.unexplained:
        for fact in change.facts:
            verdict = fact.explanation.verdict
            if verdict is not Verdict.EXPLAINED:
                what = f"{cell_label(row.experiment, row.label)} {fact.difference.fact}".rstrip()
                line = f" {what}: {kernels[change.before].name} -> {kernels[change.after].name}"
                console.print(Text.assemble((verdict, "bold yellow"), shown(line)), soft_wrap=True)


def print_result(analysis: Analysis, page: Path, console: Console) -> None:
    """Prints all of a run: the matrix, the failures, the unexplained changes, the leaks, and where
    `page` is.
    """
    print_table(analysis.table, console)
    print_failures(analysis.table, console)
    print_splats(analysis.table, console)
    print_unexplained(analysis, console)
    for record in analysis.leaks:
        line = f" {leak_in_words(record)}"
        console.print(Text.assemble(("leak", "bold white on red"), shown(line)), soft_wrap=True)
    console.print(f"{summary(analysis.table)}\n{page}", soft_wrap=True, markup=False)


def headline(reason: str) -> str:
    """The most telling line of a reason: of a Python traceback the first of its last error, else
    the first.
    """
    every = [line for line in reason.strip().splitlines() if line.strip()] or [""]
    if every[0].startswith("Traceback "):
        last = max((at for at, line in enumerate(every) if line.startswith('  File "')), default=0)
        every = [line for line in every[last + 1 :] if not line.startswith(" ")] or every[-1:]
    return shown(every[0], _REASON_CHARACTERS)


def summary(table: Table) -> str:
    """The number of cells by status, and of those with splats: `72 cells: 70 pass, 2 fail; 3 with
    splats`.
    """
    counts = ", ".join(f"{number} {status}" for status, number in table.counts.items() if number)
    marked = f"; {table.marked} with splats" if table.marked else ""
    return f"{counted(sum(table.counts.values()), 'cell')}: {counts}{marked}"


def _lines(row: Lines, columns: list[int]) -> list[tuple[str | Text, list[str | Text], str]]:
    found: list[tuple[str | Text, list[str | Text], str]] = [
        (shown(row.heading.label), [_text(row.heading.words[c]) for c in columns], "bold")
    ]
    if len(row.counts) > 1:
        found.append((f"  {shown('/'.join(row.counts))}", [""] * len(columns), "dim"))
    found += [
        (f"  {shown(line.label)}", [_text(line.words[c]) for c in columns], "") for line in row.differing
    ]
    return found


def _print_lines(
    rows: list[tuple[str | Text, list[str | Text], str]],
    widths: list[int],
    columns: list[int],
    console: Console,
) -> None:
    """Prints some lines of the matrix, all with the same widths so that columns are aligned."""
    if console.is_terminal:
        console.print(_grid(rows, widths, columns))
        return
    for label, words, _ in rows:
        cells = [
            f"{'':{_GAP}}{word!s:>{widths[column + 1]}}" for word, column in zip(words, columns, strict=True)
        ]
        console.print(Text(f"{label!s:<{widths[0]}}{''.join(cells)}".rstrip()), soft_wrap=True)


def _grid(
    rows: list[tuple[str | Text, list[str | Text], str]], widths: list[int], columns: list[int]
) -> RichTable:
    grid = RichTable.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(width=widths[0], overflow="fold")
    for column in columns:
        grid.add_column(width=widths[column + 1], justify="right", overflow="fold")
    for label, words, style in rows:
        styled = [Text(word, style) if isinstance(word, str) else word for word in (label, *words)]
        grid.add_row(*styled)
    return grid


def _text(word: Word) -> Text:
    text = f"<{word.text}" if word.changed else word.text
    return Text(text, "bold yellow" if word.changed else STYLES[word.status] if word.status else "")


def _widths(table: Table, rows: list[Lines]) -> list[int]:
    """The label's width, then each kernel's."""
    labels = [10, *(len(row.heading.label) for row in rows), *(len("/".join(row.counts)) + 2 for row in rows)]
    labels += [len(line.label) + 2 for row in rows for line in row.differing]
    widths = [min(max(labels), _WIDEST_LABEL)]
    for column, kernel in enumerate(table.kernels):
        words = [len(_text(line.words[column])) for row in rows for line in (row.heading, *row.differing)]
        width = max([len(kernel.name), *words])
        widths.append(min(width, max(_WIDEST, len(kernel.name))))
    return widths


def _fitting(widths: list[int], width: int) -> list[list[int]]:
    """The columns of each table, so that no table is wider than the terminal."""
    parts: list[list[int]] = [[]]
    left = width - widths[0]
    for column, need in enumerate(widths[1:]):
        if parts[-1] and need + _GAP > left:
            parts.append([])
            left = width - widths[0]
        parts[-1].append(column)
        left -= need + _GAP
    return parts
