"""Shows a fact's way as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from matrix.history.plot import build_name, label
from matrix.history.query import Line

_SPANS_SHOWN = 4


def table(lines: Sequence[Line]) -> Table:
    """One row per build and variant: what it answers now, since when, and what it answered before, newest first."""
    shown = Table("experiment", "variant", "kernel", "answers", "since", "runs", "before", box=box.SIMPLE_HEAD, pad_edge=False)
    previous = ("", "")
    for line in lines:
        now = line.spans[-1]
        cell = (line.experiment, line.variant)
        row = (
            *(cell if cell != previous else ("", "")),
            build_name(line, lines),
            label(now),
            f"{now.first:%Y-%m-%d}",
            str(sum(span.runs for span in line.spans)),
            _before(line),
        )
        previous = cell
        shown.add_row(*(Text(word) for word in row))
    return shown


def _before(line: Line) -> str:
    earlier = line.spans[-2::-1]
    words = [f"{label(span)} until {span.last:%Y-%m-%d}" for span in earlier[:_SPANS_SHOWN]]
    if len(earlier) > _SPANS_SHOWN:
        words.append(f"{len(earlier) - _SPANS_SHOWN} earlier changes")
    return ", ".join(words)
