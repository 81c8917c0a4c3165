"""An upgrade's text and Markdown."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.analysis.answers import read_answers
from matrix.analysis.ledger.model import Change as Entry
from matrix.analysis.ledger.model import Commit, Confirmed, Ledger
from matrix.analysis.upgrade import upgrade
from matrix.report.text.upgrade import upgrade_markdown, upgrade_text
from matrix.results.record import FactValue, Record, Status
from tests.support.fakes import make_experiment
from tests.support.upgrades import CATALOGUE, LEDGER, LEFT, RIGHT, cell, report, save


def test_the_text_names_facts_values_commits_and_evidence(tmp_path: Path) -> None:
    text = upgrade_text(
        report(
            tmp_path,
            cell(LEFT, "lookup", steps=9),
            cell(RIGHT, "lookup", steps=3),
            cell(LEFT, "drops", counted=5),
            cell(RIGHT, "drops", counted=0),
            cell(LEFT, "tun", flows=1),
            cell(RIGHT, "tun", Status.UNSUPPORTED),
        ),
        0,
    )
    assert text.startswith("From 6.1.9 (cloud, 6.1.9-1, sid) to 6.12.9 (cloud, 6.12.9-1, sid)")
    assert "1. No longer true: Drops are counted right." in text
    assert (
        "netfilter: count right; in mainline since 7.0, in 6.1 since 6.1.8, not in 6.12.9."
        " https://git.kernel.org" in text
    )
    assert "- drops: counted (the counted) was 5, is 0" in text
    assert "- tun: answered before, unsupported now: the kernel's words" in text
    assert "3. Flows are found faster." in text
    assert f"evidence: {tmp_path.name}/run-1/cells/{{6.1.9,6.12.9}}/lookup/scope=root" in text
    assert "To reproduce it: ./invoke matrix -k 6.1.9 -k 6.12.9 -e EXPERIMENT" in text
    assert (
        text.index("Fixes that you lose")
        < text.index("## What is no longer supported")
        < text.index("## Other changes in behaviour")
    )
    assert "## Known changes that no cell that was run shows" in text


def test_answers_in_words_stand_before_the_first_fact_that_differs(tmp_path: Path) -> None:
    text = upgrade_text(
        report(
            tmp_path,
            cell(LEFT, "snat-exhaustion", fifth_higher="lost", insert_failed={"TIME_WAIT": 2}),
            cell(RIGHT, "snat-exhaustion", fifth_higher="forwarded", insert_failed={"TIME_WAIT": 1}),
        ),
        0,
    )
    assert "   - snat-exhaustion: no -> yes; fifth_higher was lost, is forwarded\n" in text
    assert "   - snat-exhaustion: insert_failed was TIME_WAIT 2, is TIME_WAIT 1\n" in text


def test_wrapping_does_not_break_paths_or_links(tmp_path: Path) -> None:
    found = report(tmp_path, cell(LEFT, "lookup", steps=9), cell(RIGHT, "lookup", steps=3))
    lines = upgrade_text(found, 40).splitlines()
    assert any(line.endswith("https://git.kernel.org/torvalds/c/aaaaaaaaaaaa") for line in lines)
    assert any(line.endswith("cells/{6.1.9,6.12.9}/lookup/scope=root") for line in lines)


def test_hostile_values_are_escaped_and_cut(tmp_path: Path) -> None:
    hostile = "\x1b[31m\n## Fixes\n" + "A" * 100_000
    bad = Record(RIGHT, "tun", {"scope": "root"}, Status.UNSUPPORTED, {}, hostile)
    text = upgrade_text(
        report(
            tmp_path,
            cell(LEFT, "odd", word="a"),
            cell(RIGHT, "odd", word=hostile),
            cell(LEFT, "tun", flows=1),
            bad,
        ),
        0,
    )
    assert "\x1b" not in text
    assert "\n## Fixes\n" not in text
    assert len(text) < 5_000


MANY = Commit("many", "netfilter: a, b", Confirmed.SOURCE, "Much is listed otherwise.", "dddddddddddd", "6.6")


MORE = Commit("more", "netfilter: c", Confirmed.SOURCE, "More is counted.", "eeeeeeeeeeee", "6.7")


def test_an_item_of_several_commits_refers_to_the_entries_of_each(tmp_path: Path) -> None:
    names = {"a": 1, "b": 2, "c": 3}
    catalogue = {
        "inventory": make_experiment(
            "inventory", {"names": dict, "one": int, "two": int}, variants={"scope": ("root",)}
        )
    }
    ledger = Ledger(
        {commit.key: commit for commit in (MANY, MORE)},
        (
            Entry("inventory", MANY, "names", item="a", before=1),
            Entry("inventory", MORE, "names", item="d", after=4),
            Entry("inventory", MANY, "one", before=0, after=1),
            Entry("inventory", MORE, "two", before=0, after=1),
        ),
        {"6.1": "6.1.9", "6.12": "6.12.9"},
    )
    save(
        tmp_path,
        1,
        cell(LEFT, "inventory", names=names, one=0, two=0),
        cell(RIGHT, "inventory", names={"b": 2, "c": 3, "d": 4}, one=1, two=1),
    )
    answers = read_answers(tmp_path, pytest.fail)
    text = upgrade_text(upgrade(answers, answers.pick("6.1"), answers.pick("6.12"), ledger, catalogue), 0)
    assert text.count(MANY.sentence) == text.count(MORE.title) == 1
    assert "## Combined effects\n\n3. Caused by 1 and 2 together.\n" in text
    assert "- inventory: names (the names) was a 1, b 2, c 3; is b 2, c 3, d 4\n" in text


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            [f"feature number {n}" for n in range(9)],
            [f"feature number {n}" for n in range(1, 10)],
            "without feature number 0; with feature number 9",
        ),
        (
            {f"key number {n}": n for n in range(9)},
            {f"key number {n}": 0 if n == 3 else n for n in range(10)},
            "key number 3 3 -> 0; with key number 9 9",
        ),
        (
            {f"key number {n}": n for n in range(9)},
            {f"key number {n}": n for n in range(8)},
            "is now without key number 8 8",
        ),
        (["one", "two"], ["one", "three"], "was one, two; is one, three"),
    ],
)
def test_of_long_values_only_the_difference_is_printed(
    tmp_path: Path, before: FactValue, after: FactValue, said: str
) -> None:
    assert said in upgrade_text(
        report(tmp_path, cell(LEFT, "odd", word=before), cell(RIGHT, "odd", word=after)), 0
    )


def test_a_run_without_cells_has_no_evidence_lines(tmp_path: Path) -> None:
    save(tmp_path, 1, cell(LEFT, "lookup", steps=9), cell(RIGHT, "lookup", steps=3))
    (tmp_path / "run-1" / "cells").rmdir()
    answers = read_answers(tmp_path, pytest.fail)
    found = upgrade(answers, answers.pick("6.1"), answers.pick("6.12"), LEDGER, CATALOGUE)
    assert found.items[0].evidence[0].paths == ()
    assert "evidence:" not in upgrade_text(found, 0)


def test_markdown_escapes_values_of_guests(tmp_path: Path) -> None:
    hostile = "</details><script>x</script> [a](b) `c` | *d*"
    found = report(
        tmp_path,
        cell(LEFT, "lookup", steps=9),
        cell(RIGHT, "lookup", steps=3),
        cell(LEFT, "odd", word="a"),
        cell(RIGHT, "odd", word=hostile),
    )
    text = upgrade_markdown(found)
    assert text.startswith("# From 6.1.9 (cloud".replace("(", "\\("))
    assert (
        "([netfilter: go faster](https://git.kernel.org/torvalds/c/aaaaaaaaaaaa); in mainline since 6.5, not"
        " in 6.1.9)" in text
    )
    assert "- lookup: steps \\(the steps\\) was 9, is 3" in text
    assert "<script>" not in text
    assert "\nLook at the evidence: these may be regressions.\n" in text
    assert text.count("<details>") == text.count("</details>") == 4
