from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from bench.figure import Figure, as_json, bar, chosen, names, plot
from bench.table import bench_table, number
from vms.errors import UsageError

CELLS = [
    Figure(
        "clone_seconds", 0.2, "s", "a cell", 0.05, "QEMU alone", "at most 0.2", {"exec": 0.05, "agent": 0.15}
    ),
    Figure("cold_ratio", 26.0, "x", "cold against clone", goal="at least 20"),
]


def shown(results: dict[str, list[Figure]]) -> str:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(bench_table(results))
    return captured.get()


def test_all_measurements_are_listed_and_nothing_else() -> None:
    assert names() == [
        "cells",
        "endurance",
        "growth",
        "history",
        "matrix",
        "memory",
        "packets",
        "report",
        "scaling",
        "soak",
    ]


def test_the_longest_are_taken_only_by_name() -> None:
    assert chosen([]) == ["cells", "growth", "history", "memory", "packets", "report", "scaling"]
    assert chosen(["soak", "cells"]) == ["soak", "cells"]


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no measurement is called 'cell'; did you mean cells\?"):
        chosen(["cells", "cell"])


def test_for_machines_each_number_stands_under_its_key() -> None:
    found = json.loads(json.dumps(as_json({"cells": CELLS})))
    assert found["cells"]["clone_seconds"] == 0.2
    assert found["cells"]["about"][0]["shares"] == {"exec": 0.05, "agent": 0.15}
    assert found["cells"]["about"][1]["goal"] == "at least 20"


def test_a_bar_is_divided_as_the_shares_are() -> None:
    assert bar({"exec": 0.05, "agent": 0.15}, 8) == "aabbbbbb  a exec 0.050  b agent 0.150"
    assert bar({}) == bar({"exec": 0.0}) == ""


def test_the_table_shows_floors_goals_and_bars() -> None:
    lines = shown({"cells": CELLS}).splitlines()
    assert (
        " ".join(lines[1].split())
        == "cells clone_seconds 0.2 s 0.05 s 4.0x at most 0.2 a cell; floor: QEMU alone"
    )
    assert " ".join(lines[2].split()) == "cold_ratio 26 x at least 20 cold against clone"
    assert lines[4].strip() == bar(CELLS[0].shares)


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, "0.123"), (26.04, "26"), (1234567.0, "1,234,567"), (0.0, "0")]
)
def test_numbers_have_as_many_digits_as_anyone_reads(value: float, text: str) -> None:
    assert number(value) == text


def test_a_series_is_drawn_from_nothing_to_its_largest_value() -> None:
    assert plot([0, 3.5, 7]) == "▁▅█  0 to 7"
    assert plot([0, 0]) == plot([]) == ""
    figure = Figure("memory", 2.0, "MB", "more", series=[1.0, 2.0])
    assert "soak memory: MB over time\n  ▅█  0 to 2" in shown({"soak": [figure]})
