"""Accepting answers, and reading and writing the baseline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.baseline.baseline import Baseline, accept, read_baseline, whoami, write_baseline
from matrix.results.latest import LatestAnswers
from matrix.results.record import FactValue, Record, Status
from tests.support.nights import KEY, cell, manifest
from vms.errors import UsageError

WHEN = "2026-11-05T09:00:00+00:00"


def known(day: int, *records: Record, on: LatestAnswers | None = None) -> LatestAnswers:
    return (on or LatestAnswers()).with_run(manifest(day, "6.1.5", "6.12.9"), records)


def first() -> Baseline:
    return accept(
        Baseline(),
        known(1, cell("6.1.5", flows=7), cell("6.12.9", flows=8)),
        "Ada <ada@example.org>",
        WHEN,
        "first run",
    )


def test_who_when_and_why_are_recorded() -> None:
    (acceptance,) = first().acceptances
    assert (acceptance.who, acceptance.when, acceptance.why, acceptance.cells) == (
        "Ada <ada@example.org>",
        WHEN,
        "first run",
        2,
    )


def test_a_later_acceptance_moves_only_what_moved_and_keeps_the_earlier_one() -> None:
    baseline = first()
    moved = accept(
        baseline, known(2, cell("6.1.5", flows=9), cell("6.12.9", flows=8)), "Bob", WHEN, "fixed upstream"
    )
    assert [(one.who, one.cells) for one in moved.acceptances] == [("Ada <ada@example.org>", 2), ("Bob", 1)]
    assert moved.known.answers[KEY].record.facts == {"flows": 9}
    unmoved = ("debian:6.12.9", "table-full", "")
    assert moved.known.answers[unmoved] == baseline.known.answers[unmoved]


@pytest.mark.parametrize("why", ["", "  \n"])
def test_without_a_reason_nothing_is_accepted(why: str) -> None:
    with pytest.raises(UsageError, match="--why"):
        accept(Baseline(), known(1, cell("6.1.5", flows=7)), "Ada", WHEN, why)


def test_accepting_equal_answers_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to accept"):
        accept(first(), known(2, cell("6.1.5", flows=7)), "Ada", WHEN, "why not")


def test_an_unstable_cell_keeps_its_accepted_answer() -> None:
    later = known(2, cell("6.1.5", Status.UNSTABLE, flows=9), cell("6.12.9", flows=9))
    assert accept(first(), later, "Ada", WHEN, "why").known.answers[KEY].record.facts == {"flows": 7}


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    facts: dict[str, FactValue] = {
        "text": '\x1b\u2028\n"x"',
        "full": True,
        "states": ["b", "a"],
        "counts": {"z": 1, "a": 2},
    }
    records = [
        Record(
            "6.1.5", "table-full", {"scope": "user", "frontend": "nft"}, Status.UNSUPPORTED, {}, "no\ntun"
        ),
        replace(cell("6.12.9"), facts=facts),
    ]
    baseline = accept(Baseline(), known(1, *records), "Ada", WHEN, "first")
    write_baseline(tmp_path / "matrix.baseline.json", baseline)
    back = read_baseline(tmp_path / "matrix.baseline.json")
    assert back == baseline
    again = tmp_path / "again.json"
    write_baseline(again, back)
    assert again.read_bytes() == (tmp_path / "matrix.baseline.json").read_bytes()


def test_a_cell_is_one_line_so_that_a_diff_shows_what_moved(tmp_path: Path) -> None:
    write_baseline(tmp_path / "one", first())
    write_baseline(tmp_path / "two", accept(first(), known(2, cell("6.1.5", flows=9)), "Bob", WHEN, "moved"))
    one, two = ((tmp_path / name).read_text().splitlines() for name in ("one", "two"))
    json.loads("\n".join(one))
    assert len(set(two) - set(one)) == 3  # the cell, Bob, and a comma after Ada


def test_a_missing_baseline_is_empty_and_a_damaged_one_an_error(tmp_path: Path) -> None:
    path = tmp_path / "matrix.baseline.json"
    assert read_baseline(path) == Baseline()
    for content, message in (
        ("{", "restore it from version control"),
        ('{"more":' + "[" * 100_000, "restore it from version control"),
        ('{"form": 99, "answers": []}', "form 99 and was written by a newer version.* reads form 1: use"),
        (
            (
                '{"form": 1, "acceptances": [], "kernels": [], "cells": [{"kernel": "k", "experiment": "e",'
                ' "status": "pass", "seen": ""}]}'
            ),
            "not among",
        ),
    ):
        path.write_text(content)
        with pytest.raises(UsageError, match=message):
            read_baseline(path)


def test_the_user_who_accepts_is_gits_author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada Lovelace")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "ada@example.org")
    assert whoami(tmp_path) == "Ada Lovelace <ada@example.org>"
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("LOGNAME", "ada")
    assert whoami(tmp_path / "missing") == "ada"
