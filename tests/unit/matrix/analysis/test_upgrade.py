"""Upgrade reports: every difference once, by its commit, the most serious first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.analysis.answers import read_answers
from matrix.analysis.upgrade import Severity, upgrade
from matrix.report.text.upgrade import upgrade_text
from matrix.results.record import Record, Status
from tests.support.upgrades import CATALOGUE, FASTER, LEDGER, LEFT, RIGHT, cell, report, save
from vms.errors import UsageError


def test_items_are_grouped_by_commit_the_most_serious_first(tmp_path: Path) -> None:
    found = report(
        tmp_path,
        *(cell(LEFT, "lookup", scope=scope, steps=9) for scope in ("root", "user")),
        *(cell(RIGHT, "lookup", scope=scope, steps=3) for scope in ("root", "user")),
        *(cell(LEFT, "drops", counted=5), cell(RIGHT, "drops", counted=0)),
        *(cell(LEFT, "tun", flows=1), cell(RIGHT, "tun", Status.UNSUPPORTED)),
        *(cell(LEFT, "odd", word="a"), cell(RIGHT, "odd", word="b")),
        *(cell(LEFT, "odd", scope="user", word="a"), cell(RIGHT, "odd", Status.FAIL, scope="user", word="c")),
    )
    assert [(item.severity, [commit.key for commit in item.commits]) for item in found.items] == [
        (Severity.BREAKING, []),
        (Severity.REGRESSION, ["fix"]),
        (Severity.REMOVED, []),
        (Severity.UNEXPLAINED, []),
        (Severity.CHANGED, ["faster"]),
    ]
    assert [(evidence.label, evidence.before, evidence.after) for evidence in found.items[4].evidence] == [
        ("", 9, 3)
    ]
    assert (found.compared, found.differing, found.exit_code) == (6, 6, 1)
    assert [commit.key for commit in found.unseen_gained] == ["quiet"]


def test_the_order_of_answers_in_runs_is_not_that_of_items(tmp_path: Path) -> None:
    found = report(
        tmp_path,
        *(cell(LEFT, "tun", scope=scope, flows=1) for scope in ("user", "root")),
        *(cell(LEFT, "odd", word="a"), cell(RIGHT, "odd", word="b")),
        *(cell(RIGHT, "tun", scope=scope, flows=flows) for scope, flows in (("user", 2), ("root", 3))),
        *(cell(LEFT, "drops", counted=1), cell(RIGHT, "drops", counted=2)),
    )
    assert [
        [(evidence.experiment, evidence.label) for evidence in item.evidence] for item in found.items
    ] == [[("tun", "scope=root"), ("tun", "scope=user")], [("drops", "")], [("odd", "")]]


def test_an_upgrade_with_explained_changes_ends_with_0(tmp_path: Path) -> None:
    assert report(tmp_path, cell(LEFT, "lookup", steps=9), cell(RIGHT, "lookup", steps=3)).exit_code == 0


def test_a_change_that_contradicts_the_ledger_is_unexplained_and_names_the_commit(tmp_path: Path) -> None:
    found = report(tmp_path, cell(LEFT, "lookup", steps=9), cell(RIGHT, "lookup", steps=99))
    assert [(item.severity, item.against) for item in found.items] == [(Severity.UNEXPLAINED, (FASTER,))]
    assert "This is not what the ledger expects of: netfilter: go faster" in upgrade_text(found, 0)


def test_errors_and_unstable_cells_are_not_compared(tmp_path: Path) -> None:
    found = report(
        tmp_path,
        cell(LEFT, "lookup", steps=9),
        cell(RIGHT, "lookup", Status.UNSTABLE, steps=3),
        cell(LEFT, "odd", word="a"),
        cell(RIGHT, "odd", Status.ERROR),
    )
    assert (found.compared, found.items, found.not_compared) == (0, (), 2)


def test_a_series_means_its_newest_build_and_a_cell_its_newest_answer(tmp_path: Path) -> None:
    save(
        tmp_path,
        2,
        cell("6.12.8", "lookup", steps=1),
        cell(RIGHT, "lookup", steps=3),
        cell(LEFT, "lookup", steps=9),
    )
    save(tmp_path, 3, cell(LEFT, "lookup", steps=8))
    answers = read_answers(tmp_path, pytest.fail)
    assert [answers.pick(spec).name for spec in ("6.12", "6.12.8", "debian:6.12.8", "6.12.8-1")] == [
        "6.12.9",
        "6.12.8",
        "6.12.8",
        "6.12.8",
    ]
    found = upgrade(answers, answers.pick("6.1"), answers.pick("6.12"), LEDGER, CATALOGUE)
    assert found.items[0].evidence[0].before == 8
    assert "run-3" in found.items[0].evidence[0].paths[0]


def test_a_run_that_cannot_be_read_is_left_out_and_reported(tmp_path: Path) -> None:
    save(tmp_path, 1, cell(LEFT, "lookup", steps=1))
    save(tmp_path, 2, cell(LEFT, "lookup", steps=2))
    (tmp_path / "run-2/manifest.json").write_text('{"schema": 9}')
    complaints: list[str] = []
    answers = read_answers(tmp_path, complaints.append)
    assert [record.facts for record, _ in answers.of(answers.pick("6.1")).values()] == [{"steps": 1}]
    (complaint,) = complaints
    assert "run-2/manifest.json" in complaint
    assert "its schema is 9" in complaint


def test_a_kernel_without_answers_is_refused_with_those_that_have_some(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"no run has answers of a kernel '6.6'; run `./invoke",
    ):
        read_answers(tmp_path, pytest.fail).pick("6.6")


def test_variants_that_an_experiment_no_longer_has_are_not_compared(tmp_path: Path) -> None:
    old = [
        Record(kernel, "lookup", {"family": "ipv4"}, Status.PASS, {"steps": steps})
        for kernel, steps in ((LEFT, 9), (RIGHT, 3))
    ]
    found = report(tmp_path, *old, cell(LEFT, "lookup", steps=9), cell(RIGHT, "lookup", steps=3))
    assert (
        found.compared,
        [evidence.label for item in found.items for evidence in item.evidence],
    ) == (1, [""])


def test_of_a_series_without_changelogs_only_a_cell_says_that_it_lacks_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = replace(LEDGER, surveyed={"6.12": "6.12.9"}, seen={"6.1": "6.1.9"})
    monkeypatch.setattr("tests.support.upgrades.LEDGER", seen)
    found = report(tmp_path, cell(LEFT, "lookup", steps=9), cell(RIGHT, "lookup", steps=3))
    assert [[commit.key for commit in item.commits] for item in found.items] == [["faster"]]
    assert found.unseen_gained == ()
