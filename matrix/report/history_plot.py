"""Draws a fact's history: a row per build, time to the right, a colour and a label per value.

SVG, made without a network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from matrix.history.fold import Group, fold
from matrix.history.query import Line, Span
from matrix.report.words import in_words
from vms.text import shown

if TYPE_CHECKING:
    import altair

# Okabe and Ito's colours, which colour-blind readers can distinguish; the labels name the value if
# there are more values than colours.
_COLOURS = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2"]
_NO_VALUE = "#c8c8c8"
_LABEL_CHARACTERS = 24
_WIDTH = 640
_CHARACTER_WIDTH = 7


def plot(lines: Sequence[Line]) -> str:
    """The picture of the lines, which are of one fact's name, as SVG text."""
    import altair  # takes half a second, so only drawing loads it
    import vl_convert

    chart = _chart(altair, list(_rows(lines)), lines[0].fact)
    svg: str = vl_convert.vegalite_to_svg(json.dumps(chart.to_dict()))
    return svg


def label(span: Span) -> str:
    """The text of a span: its value, or its status if the outcome does not hold the fact."""
    if span.value is None:
        return span.status.value
    text = " ".join(shown(in_words(span.value)).split())
    return text if len(text) <= _LABEL_CHARACTERS else text[: _LABEL_CHARACTERS - 1] + "…"


def build_name(line: Line, lines: Sequence[Line]) -> str:
    """The kernel's name, with the content part of its id if several builds share the name."""
    shared = {other.id for other in lines if other.kernel == line.kernel}
    return f"{line.kernel} ({line.id.rpartition('=')[2]})" if len(shared) > 1 else line.kernel


def _rows(lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    first = min(span.first for line in lines for span in line.spans)
    last = max(span.last for line in lines for span in line.spans)
    width = max((last - first) / 40, timedelta(hours=1))  # of a span of one run
    for group in fold(lines):
        yield from _group_rows(group, lines, first, last, width)


def _group_rows(
    group: Group, lines: Sequence[Line], first: datetime, last: datetime, width: timedelta
) -> Iterator[dict[str, Any]]:
    for line in group.lines:
        ends = [span.first for span in line.spans[1:]] + [max(line.spans[-1].last, last) + width]
        for span, end in zip(line.spans, ends, strict=True):
            shows = label(span)
            room = _WIDTH * ((end - span.first) / (last + width - first)) // _CHARACTER_WIDTH
            yield {
                "cell": f"{group.experiment}  {group.label}".strip(),
                "kernel": build_name(line, lines),
                "from": _time(span.first),
                "to": _time(end),
                "shows": shows,
                "label": shows if len(shows) <= room else "",
                "known": span.value is not None,
            }


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _chart(altair: Any, rows: list[dict[str, Any]], fact: str) -> altair.VConcatChart:
    known = list(dict.fromkeys(row["shows"] for row in rows if row["known"]))
    other = list(
        dict.fromkeys(row["shows"] for row in rows if not row["known"] and row["shows"] not in known)
    )
    colours = [_COLOURS[place % len(_COLOURS)] for place in range(len(known))] + [_NO_VALUE] * len(other)
    # All panels show the same span of time, whichever runs their cells were in.
    time = altair.Scale(type="utc", domain=[min(row["from"] for row in rows), max(row["to"] for row in rows)])
    panels = []
    for cell in dict.fromkeys(row["cell"] for row in rows):
        own = [row for row in rows if row["cell"] == cell]
        base = altair.Chart(altair.InlineData(own)).encode(
            x=altair.X("from:T", title=None, scale=time),
            y=altair.Y("kernel:N", title=None, sort=None),
        )
        bars = base.mark_bar(height=14).encode(
            x2="to:T",
            color=altair.Color(
                "shows:N", title=fact, scale=altair.Scale(domain=known + other, range=colours)
            ),
        )
        words = base.mark_text(align="left", dx=3, fontSize=10).encode(
            text="label:N", color=altair.value("black")
        )
        panels.append((bars + words).properties(title=cell, width=_WIDTH, height=altair.Step(18)))
    return altair.vconcat(*panels).configure_view(stroke=None).configure_axisY(labelLimit=260)
