"""Recording runs, and reading a fact across runs and builds, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import URL

from matrix.history.models import Entry, Outcome, Run, Sheet
from matrix.history.query import fact_names, timeline
from matrix.history.record import record
from matrix.results.record import FactValue, Status
from tests.support.history_runs import cell, manifest, opened, shown
from vms.errors import UsageError


def test_a_fact_has_a_line_of_spans_per_build(url: URL) -> None:
    with opened(url) as engine:
        record(
            engine, "here", manifest(1, "6.12.9", "6.1.5"), [cell("6.12.9", flows=7), cell("6.1.5", flows=7)]
        )
        record(
            engine,
            "here",
            manifest(3, "6.12.9", "6.12.10"),
            [cell("6.12.9", flows=8), cell("6.12.10", flows=8)],
        )
        record(engine, "here", manifest(2, "6.12.9"), [cell("6.12.9", flows=7)])
        record(engine, "here", manifest(4, "6.12.9"), [cell("6.12.9", Status.UNSUPPORTED, "no tun")])
        found = timeline(engine, "flows")
    assert shown(found) == [
        ("6.1.5", "scope=root", [("pass", 7, 1, 1, 1)]),
        (
            "6.12.9",
            "scope=root",
            [("pass", 7, 1, 2, 2), ("pass", 8, 3, 3, 1), ("unsupported", None, 4, 4, 1)],
        ),
        ("6.12.10", "scope=root", [("pass", 8, 3, 3, 1)]),
    ]
    assert found[1].spans[2].reason == "no tun"
    assert found[1].spans[0].first == datetime(2026, 11, 1, 2, tzinfo=UTC)


def test_a_fact_is_named_as_other_commands_name_it(url: URL) -> None:
    with opened(url) as engine:
        user = cell("6.1.5", flows=8, variant="user")
        record(engine, "here", manifest(1, "6.1.5"), [cell("6.1.5", flows=7), user])

        def variants(fact: str) -> list[str]:
            return [line.variant for line in timeline(engine, fact)]

        assert variants("table-full:flows") == variants("table-full.flows") == ["scope=root", "scope=user"]
        assert variants("table-full[scope=user]:flows") == ["scope=user"]
        assert variants("table-full[scope=root/user]:flows") == ["scope=root", "scope=user"]
        with pytest.raises(UsageError, match="no run has a fact"):
            timeline(engine, "table-full[scope=other]:flows")


def test_a_nul_in_a_reason_is_stored_as_its_picture(url: URL) -> None:
    with opened(url) as engine:
        record(engine, "here", manifest(1, "6.1.5"), [replace(cell("6.1.5"), reason="not\0supported")])
        with engine.connect() as connection:
            assert connection.scalars(select(Outcome.reason)).all() == ["not␀supported"]


@pytest.mark.fault(phase="history", fault="clock ahead", outcome="runs stay in their order")
def test_runs_of_a_machine_are_in_the_order_of_their_numbers(url: URL) -> None:
    with opened(url) as engine:
        for number, (day, flows) in enumerate([(1, 7), (2, 7), (28, 8), (3, 9), (4, 9)], start=1):
            record(
                engine, "here", replace(manifest(day, "6.1.5"), number=number), [cell("6.1.5", flows=flows)]
            )
        record(engine, "elsewhere", replace(manifest(5, "6.1.5"), number=1), [cell("6.1.5", flows=9)])
        assert shown(timeline(engine, "flows")) == [
            ("6.1.5", "scope=root", [("pass", 7, 1, 2, 2), ("pass", 8, 28, 28, 1), ("pass", 9, 3, 5, 3)]),
        ]


def test_values_of_every_type_come_back_as_they_were(url: URL) -> None:
    values: dict[str, FactValue] = {
        "a": True,
        "b": 7,
        "c": "x<b>'; DROP TABLE run; --",
        "d": ["y", "x"],
        "e": {"n": 1},
        "f": 2**64 - 1,
    }
    with opened(url) as engine:
        record(engine, "here", manifest(1, "6.1.5"), [replace(cell("6.1.5"), facts=values)])
        for name, value in values.items():
            (line,) = timeline(engine, f"table-full.{name}")
            assert (type(line.spans[0].value), line.spans[0].value) == (type(value), value)
        assert fact_names(engine) == tuple(f"table-full.{name}" for name in "abcdef")


def test_nights_without_a_change_add_no_sheets(url: URL) -> None:
    with opened(url) as engine:
        for day in range(1, 21):
            record(
                engine,
                "here",
                manifest(day, "6.1.5"),
                [cell("6.1.5", flows=7, raw=10), cell("6.1.5", variant="user", flows=7, raw=10)],
            )
        with engine.connect() as connection:
            counts = [
                connection.scalar(select(func.count()).select_from(table))
                for table in (Run, Sheet, Entry, Outcome)
            ]
    assert counts == [20, 1, 2, 1]


def test_a_night_that_skips_a_cell_does_not_end_its_span(url: URL) -> None:
    with opened(url) as engine:
        both = [cell("6.1.5", flows=7), cell("6.1.5", variant="user", flows=9)]
        record(engine, "here", manifest(1, "6.1.5"), both)
        record(engine, "here", manifest(2, "6.1.5"), both[:1])
        record(engine, "here", manifest(3, "6.1.5"), both)
        assert [spans for _, _, spans in shown(timeline(engine, "flows"))] == [
            [("pass", 7, 1, 3, 3)],
            [("pass", 9, 1, 3, 2)],
        ]


def test_an_error_ends_no_span_and_is_shown_only_if_a_cell_has_nothing_else(url: URL) -> None:
    with opened(url) as engine:
        for day, status in ((1, Status.PASS), (2, Status.ERROR), (3, Status.PASS)):
            facts: dict[str, FactValue] = {"flows": 7} if status is Status.PASS else {}
            lost = cell("6.12.9", Status.ERROR, "lost the guest")
            record(
                engine,
                "here",
                manifest(day, "6.1.5", "6.12.9"),
                [replace(cell("6.1.5", status), facts=facts), lost],
            )
        assert shown(timeline(engine, "flows")) == [
            ("6.1.5", "scope=root", [("pass", 7, 1, 3, 2)]),
            ("6.12.9", "scope=root", [("error", None, 1, 3, 3)]),
        ]


def test_recording_a_run_again_replaces_it(url: URL) -> None:
    with opened(url) as engine:
        record(engine, "here", manifest(1, "6.1.5"), [cell("6.1.5", Status.ERROR, "lost the guest")])
        record(engine, "here", manifest(1, "6.1.5"), [cell("6.1.5", flows=7)])
        assert shown(timeline(engine, "flows")) == [("6.1.5", "scope=root", [("pass", 7, 1, 1, 1)])]


def test_builds_that_share_a_name_have_a_line_each(url: URL) -> None:
    with opened(url) as engine:
        record(engine, "here", manifest(1, "6.1.5", build="2"), [cell("6.1.5", flows=8)])
        record(engine, "here", manifest(2, "6.1.5", build="1"), [cell("6.1.5", flows=7)])
        assert [(line.id, line.spans[0].value) for line in timeline(engine, "flows")] == [
            ("debian:6.1.5=1", 7),
            ("debian:6.1.5=2", 8),
        ]


def test_a_build_with_another_name_in_each_run_is_one_line(url: URL) -> None:
    with opened(url) as engine:
        record(engine, "here", manifest(1, "6.1.5"), [cell("6.1.5", flows=7)])
        other = manifest(2, "6.1.5")
        other = replace(other, kernels=(replace(other.kernels[0], name="6.1.5-1"),))
        record(engine, "here", other, [cell("6.1.5-1", flows=7)])
        assert shown(timeline(engine, "flows")) == [("6.1.5", "scope=root", [("pass", 7, 1, 2, 2)])]


def test_a_misspelt_fact_and_an_empty_history_say_what_to_do(url: URL) -> None:
    with opened(url) as engine:
        with pytest.raises(UsageError, match="no run is recorded yet"):
            timeline(engine, "flows")
        record(engine, "here", manifest(1, "6.1.5"), [cell("6.1.5", flows=7)])
        with pytest.raises(UsageError, match="did you mean flows"):
            timeline(engine, "flow")
        with pytest.raises(UsageError, match="no run has a fact"):
            timeline(engine, "other.flows")
