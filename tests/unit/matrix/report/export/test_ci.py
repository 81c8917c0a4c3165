"""What a CI is shown of a run, with all that a guest may say in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.analysis.ledger.explain import Verdict
from matrix.baseline.outcome import Item
from matrix.report.export.ci import (
    GITHUB_MOST,
    Finding,
    findings,
    github_annotations,
    gitlab_annotations,
    job_summary,
)
from tests.support.house import House, open_house
from tests.support.sample import analysis

EVIL = "![x](https://evil.example/x.png) @octocat\n::error::<b>"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return open_house(tmp_path / "results", monkeypatch)


def test_a_run_s_findings_are_its_unexplained_changes_and_its_failures() -> None:
    found = findings(analysis(), None)
    assert found[0] == Finding(
        "unexplained change: table-full [frontend=nft]", "6.12.10 -> 7.3~rc7: flows 7 -> 8"
    )
    assert Finding("fail: table-full frontend=nft", "on 7.3~rc7: does not hold: at most 7 flows") in found
    assert Finding("splat: race", "on 6.12.10: WARNING: nf_x < nf_y") in found


def test_a_night_s_findings_are_what_is_new_since_the_accepted_answers(house: House) -> None:
    house.night(0)
    house.accept()
    house.kernels.append("6.12.10")
    house.says = lambda kernel, _: {"flows": 7, "drops": 9 if kernel == "6.12.10" else 3}
    assert findings(analysis(), house.night(1)) == (
        Finding(
            "unexplained change: table-full drops",
            "unexplained: 6.12.9 -> 6.12.10: table-full: drops 3 -> 9",
        ),
    )


def test_the_summary_begins_with_what_was_found_and_interprets_nothing_of_a_guest(house: House) -> None:
    night = house.night(0)
    item = Item("", "6.1.5", "table-full", (), "", "word", "", EVIL, Verdict.UNEXPLAINED, "")
    text = job_summary(analysis(), replace(night, news=(item,) * 300))
    first, _, listed, *_ = text.splitlines()
    assert first == "### conntrack-matrix 2026-11-01: 300 unexplained changes"
    assert listed.startswith("- **unexplained change: table-full word** unexplained: 6.1.5 itself")
    assert "\\!\\[x\\]\\(https:&#8288;//evil.example/x.png\\) @&#8288;octocat" in listed
    assert "\n- and 100 more in the report\n" in text
    assert "<script" not in text
    assert "| experiment |" in text


def test_a_table_that_is_larger_than_a_summary_may_be_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.report.export.ci._SUMMARY_BYTES", 5_000)
    text = job_summary(analysis(), None)
    assert "The table is too large for this page" in text
    assert "| experiment |" not in text


def test_an_annotation_is_one_workflow_command_whatever_is_in_it() -> None:
    lines = github_annotations([Finding("crash: a, b", f"100 %\r\n{EVIL}\x1b[31m")])
    assert lines == [
        "::error title=crash%3A a%2C b::"
        "100 %25%0A![x](https://evil.example/x.png) @octocat%0A::error::<b>␛[31m"
    ]


def test_no_more_annotations_are_given_than_github_shows_and_the_last_counts_the_rest() -> None:
    few = [Finding(f"fail: {number}", "x") for number in range(GITHUB_MOST)]
    assert len(github_annotations(few)) == GITHUB_MOST
    lines = github_annotations([*few, *few])
    assert len(lines) == GITHUB_MOST
    assert lines[-1] == "::error title=11 more findings::all are in the job's summary and in the report"


def test_gitlab_gets_a_link_to_the_page_for_each_finding() -> None:
    page = "https://gitlab.example/job/1/artifacts/file/results/x/report/index.html"
    report = json.loads(gitlab_annotations([Finding("fail: a", "on 6.1")], page))
    assert report == {
        "conntrack-matrix": [
            {"external_link": {"label": "report", "url": page}},
            {"external_link": {"label": "fail: a: on 6.1", "url": page}},
        ]
    }
