"""Prints what changed when watched experiments were asked again."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.plan.plan import cell_label, variant_name
from matrix.report.text.grid import fact_text
from matrix.report.words import counted
from matrix.results.record import FactValue, Record, Status
from matrix.watch import Turn
from vms.text import shown

_REASON_CHARACTERS = 4_000
_Row = tuple[str, list[str]]


def print_turn(turn: Turn, console: Console) -> None:
    """Prints every fact of the first turn, and of later ones those that are not what they were, a
    column for each kernel; then why cells have none.
    """
    if turn.complaint:
        console.print(Text(f"turn {turn.number}: {turn.complaint}"), soft_wrap=True)
        return
    changed = 0
    for label, records in _by_label(turn).items():
        rows = list(_rows(turn, records))
        changed += len(rows)
        if rows:
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
            for column in (label, *(record.kernel for record in records)):
                table.add_column(Text(column), overflow="fold")
            for name, values in rows:
                table.add_row(Text(name), *map(Text, values))
            console.print(table)
    for reason, kernels in _reasons(turn).items():
        console.print(Text(f"{', '.join(kernels)}: {reason}"), soft_wrap=True)
    said = f"{counted(changed, 'fact')} changed" if turn.before else f"{counted(changed, 'fact')}"
    if turn.before and not changed:
        said = "nothing changed"
    console.print(Text(f"turn {turn.number}: {said} ({turn.seconds:.1f} s)", "bold"), soft_wrap=True)


def _by_label(turn: Turn) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in turn.records.values():
        label = cell_label(record.experiment, variant_name(record.variant))
        found.setdefault(label, []).append(record)
    return found


def _rows(turn: Turn, records: list[Record]) -> Iterator[_Row]:
    """A row for each fact that is new, gone or changed in a cell that was answered."""
    answered = [record for record in records if record.facts]
    befores = {record.kernel: _before(turn, record) for record in answered}
    names = dict.fromkeys(name for record in answered for name in record.facts)
    names |= dict.fromkeys(name for before in befores.values() for name in before or ())
    for name in names:
        words = []
        differs = False
        for record in records:
            before, now = befores.get(record.kernel), record.facts.get(name)
            same = not record.facts or (before is not None and before.get(name) == now)
            differs |= not same
            words.append(
                _word(
                    None if before is None else before.get(name), now, changed=not same and before is not None
                )
            )
        if differs:
            yield name, words


def _before(turn: Turn, record: Record) -> dict[str, FactValue] | None:
    key = record.kernel, *record.question
    return dict(turn.before[key]) if key in turn.before else None


def _word(before: FactValue | None, now: FactValue | None, *, changed: bool) -> str:
    return f"{_text(before)} → {_text(now)}" if changed else _text(now)


def _text(value: FactValue | None) -> str:
    return "-" if value is None else fact_text(value)


def _reasons(turn: Turn) -> dict[str, list[str]]:
    """Why cells did not pass, each reason with the kernels of which that is true."""
    found: dict[str, list[str]] = {}
    for record in turn.records.values():
        if record.status is not Status.PASS:
            label = cell_label(record.experiment, variant_name(record.variant))
            reason = shown(record.reason, _REASON_CHARACTERS)
            kernels = found.setdefault(f"{label}: {record.status}: {reason}", [])
            kernels.append(record.kernel)
    return found
