"""Prints whether a cell that was asked again has the answer of its run."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.plan.plan import cell_label, variant_name
from matrix.replay import Replay
from matrix.report.text.grid import fact_text
from matrix.report.words import counted
from matrix.results.record import FactValue, Record, Status


def print_replay(replay: Replay, console: Console) -> None:
    """Prints a line for each fact that is not the same, and a line with the verdict."""
    before, after = replay.before, replay.after
    label = f"{before.kernel} {cell_label(before.experiment, variant_name(before.variant))}"
    differences = list(replay.differences)
    if differences and after.status is not Status.ERROR:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in ("fact", "in the run", "now"):
            table.add_column(column, overflow="fold")
        for name, *values in differences:
            table.add_row(Text(name), *(Text(_text(value)) for value in values))
        console.print(table)
    console.print(Text(f"{label}: {_verdict(replay)}"), soft_wrap=True)
    if replay.changed:
        console.print(Text(f"not as in the run: {', '.join(replay.changed)}"), soft_wrap=True)


def _verdict(replay: Replay) -> str:
    before, after = replay.before, replay.after
    if after.status is Status.ERROR:
        return f"no answer now: {after.reason}"
    if replay.same:
        return f"the same answer ({after.status}, {counted(len(after.facts), 'fact')})"
    return f"another answer: {_status(before)} in the run, {_status(after)} now"


def _status(record: Record) -> str:
    return f"{record.status} ({record.reason})" if record.reason else record.status


def _text(value: FactValue | None) -> str:
    return "-" if value is None else fact_text(value)
