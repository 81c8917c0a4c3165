"""The picture and the table of a fact's history, also with hostile values."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta

from rich.console import Console

from matrix.history.fold import fold
from matrix.history.query import Line, Span
from matrix.report.history_plot import plot
from matrix.report.text.history import table
from matrix.results.record import FactValue, Status

DAY = datetime(2026, 11, 1, 2, tzinfo=UTC)


def span(value: FactValue | None, first: int, last: int, status: Status = Status.PASS) -> Span:
    return Span(status, value, "", DAY + timedelta(days=first), DAY + timedelta(days=last), last - first + 1)


def line(kernel: str, *spans: Span, build: str = "aa", variant: str = "scope=root") -> Line:
    return Line(kernel, f"tree:linux={build}", kernel, f"{kernel}-1", "table-full", variant, "flows", spans)


def texts(svg: str) -> list[str]:
    return [
        "".join(node.itertext())
        for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


def test_the_picture_names_builds_values_and_statuses() -> None:
    svg = plot(
        [
            line("6.1.5", span(7, 0, 9), span(10, 10, 20)),
            line("6.12.9", span(None, 0, 20, Status.UNSUPPORTED)),
        ]
    )
    assert {"6.1.5", "6.12.9", "7", "10", "unsupported", "table-full"} <= {
        " ".join(text.split()) for text in texts(svg)
    }


def test_builds_that_share_a_name_show_which_they_are() -> None:
    svg = plot([line("mine", span(7, 0, 0), build="aaaa"), line("mine", span(8, 1, 1), build="bbbb")])
    assert {"mine (aaaa)", "mine (bbbb)"} <= set(texts(svg))


def test_a_single_run_makes_a_picture() -> None:
    assert "7" in texts(plot([line("6.1.5", span(7, 0, 0))]))


def test_hostile_values_neither_break_the_picture_nor_the_terminal() -> None:
    hostile = [
        line(
            "6.1.5",
            span("\x1b[31m\x00</text><script>alert(1)</script>", 0, 5),
            span("[red]x[/red]" + "A" * 100_000, 6, 9),
        )
    ]
    svg = plot(hostile)
    assert not list(ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}script"))
    assert "\x1b" not in svg
    out = io.StringIO()
    Console(file=out, width=200).print(table(hostile))
    assert "\x1b" not in out.getvalue()
    assert "[red]x[/red]" in out.getvalue()
    assert len(out.getvalue()) < 5_000


def test_the_history_table_shows_the_newest_and_the_earlier_answers() -> None:
    spans = [span(number, number, number) for number in range(7)]
    out = io.StringIO()
    Console(file=out, width=200).print(table([line("6.1.5", *spans)]))
    words = " ".join(out.getvalue().split())
    assert (
        "6 2026-11-07 7 5 until 2026-11-06, 4 until 2026-11-05, 3 until 2026-11-04, 2 until 2026-11-03, 2"
        " earlier changes" in words
    )


def labels(*ways: tuple[str, tuple[Span, ...]]) -> list[str]:
    return [
        group.label for group in fold([line("6.1.5", *spans, variant=variant) for variant, spans in ways])
    ]


def test_variants_with_equal_spans_are_one_group() -> None:
    seven = (span(7, 0, 9),)
    assert labels(("scope=root", seven), ("scope=user", seven)) == [""]
    assert labels(("scope=root", seven), ("scope=user", (span(7, 2, 5),))) == [""]
    assert labels(("scope=root", seven), ("scope=user", (span(True, 0, 9),)), ("scope=none", seven)) == [
        "scope=root/none",
        "scope=user",
    ]
    earlier, later = (span(7, 0, 3), span(8, 4, 9)), (span(7, 0, 4), span(8, 5, 9))
    assert labels(("scope=root", earlier), ("scope=user", later)) == ["scope=root", "scope=user"]
