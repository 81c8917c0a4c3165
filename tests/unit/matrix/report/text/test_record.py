from __future__ import annotations

from dataclasses import replace

from matrix.analysis.analysis import analyse
from matrix.analysis.ledger.model import Change, Commit, Confirmed, Ledger
from matrix.report.text.record import record_page
from matrix.results.record import Record, Status
from tests.support.fakes import make_experiment
from tests.support.nights import cell, manifest
from tests.support.sample import analysis

FIX = Commit(
    "fix", "netfilter: count | right", Confirmed.SOURCE, "Counts are right.", "bbbb", "7.0", ("6.1.7",)
)
LEDGER = Ledger({"fix": FIX}, (Change("table-full", FIX, "flows", before=1, after=2),), {"6.1": "6.1.9"})
CATALOGUE = {"table-full": make_experiment("table-full")}
BUILDS = tuple(f"6.1.{number}" for number in range(4, 10))


def page(*flows: int | Status, ledger: Ledger = LEDGER) -> str:
    records = [
        replace(cell(name), status=one) if isinstance(one, Status) else cell(name, flows=one)
        for name, one in zip(BUILDS, flows, strict=True)
    ]
    return record_page(analyse(manifest(1, *BUILDS), records, CATALOGUE, ledger))


def row(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("| **table-full**")).split(" | ")[1]


def changes(text: str) -> list[str]:
    return [line for line in text.partition("## Builds")[0].splitlines() if line.startswith("| 6.1")]


def test_an_answer_is_told_once_with_the_build_from_which_on_it_is_given() -> None:
    assert row(page(1, 1, 1, 2, 2, 1)) == "1; from 6.1.7: **2**; from 6.1.9: **1** |"
    assert row(page(1, 1, 1, 1, 1, 1)) == "1 |"


def test_a_build_that_answered_nothing_is_passed_over() -> None:
    assert row(page(1, Status.UNSTABLE, 1, Status.ERROR, 2, 2)) == "1; from 6.1.8: **2** |"


def test_a_question_that_the_first_builds_were_not_asked_names_the_first_that_was() -> None:
    records = [cell(name, flows=1) for name in BUILDS[2:]]
    text = record_page(analyse(manifest(1, *BUILDS), records, CATALOGUE, LEDGER))
    assert row(text) == "from 6.1.6: 1 |"


def test_what_changed_names_the_builds_and_the_commits_the_newest_first() -> None:
    text = page(1, 1, 1, 2, 2, 1)
    assert changes(text) == [
        "| 6.1.8 → 6.1.9 | table-full | 2 → 1 | **unexplained** |",
        "| 6.1.6 → 6.1.7 | table-full | 1 → 2 | [fix](#fix) |",
    ]
    assert text.count("https://git.kernel.org/torvalds/c/bbbb") == 1


def test_a_record_in_which_nothing_changes_has_neither_changes_nor_commits() -> None:
    text = page(1, 1, 1, 1, 1, 1)
    assert "## What changed" not in text
    assert "## Commits" not in text


def test_text_of_a_guest_is_escaped_in_the_record() -> None:
    text = record_page(analysis())
    assert "<script" not in text
    assert "\x1b" not in text
    assert {line.replace("\\|", "").count("|") for line in text.splitlines() if "hostile" in line} <= {
        0,
        3,
        5,
    }


def test_a_page_of_many_equal_builds_is_hardly_larger_than_one_of_few() -> None:
    def size(builds: int) -> int:
        names = [f"6.1.{number}" for number in range(builds)]
        records: list[Record] = [cell(name, flows=1) for name in names]
        return len(
            record_page(analyse(manifest(1, *names), records, CATALOGUE, LEDGER)).partition("## Builds")[0]
        )

    assert size(80) < size(8) + 10
