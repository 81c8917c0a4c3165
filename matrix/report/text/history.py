"""A fact's history as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from matrix.history.fold import fold
from matrix.history.query import Line
from matrix.report.history_plot import build_name, label

_SPANS_SHOWN = 4


def table(lines: Sequence[Line]) -> Table:
    """One row per build, grouped by experiment and variants: its answer now, since when, and the
    earlier answers, newest first.
    """
    shown = Table(
        "experiment",
        "variants",
        "kernel",
        "answers",
        "since",
        "runs",
        "before",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for group in fold(lines):
        heading = (group.experiment, group.label or "all")
        for line in group.lines:
            now = line.spans[-1]
            runs = str(sum(span.runs for span in line.spans))
            row = (
                *heading,
                build_name(line, lines),
                label(now),
                f"{now.first:%Y-%m-%d}",
                runs,
                _before(line),
            )
            heading = ("", "")
            shown.add_row(*(Text(word) for word in row))
    return shown


def _before(line: Line) -> str:
    earlier = line.spans[-2::-1]
    words = [f"{label(span)} until {span.last:%Y-%m-%d}" for span in earlier[:_SPANS_SHOWN]]
    if len(earlier) > _SPANS_SHOWN:
        words.append(f"{len(earlier) - _SPANS_SHOWN} earlier changes")
    return ", ".join(words)
