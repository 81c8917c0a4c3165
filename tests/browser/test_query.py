"""The query line against a second opinion: the same questions asked of the records in Python."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from bench import generate
from matrix.results.record import Record, Status
from tests.support.pages import OpenPage

pytestmark = pytest.mark.browser

ENTRIES, CATALOGUE = generate.kernels(6), generate.experiments(14)
RECORDS = list(generate.records(ENTRIES, tuple(CATALOGUE)))
ROWS = {name: [record for record in RECORDS if record.experiment == name] for name in CATALOGUE}
Cell = Callable[[Record], bool]


def some(cell: Cell) -> set[str]:
    return {name for name, records in ROWS.items() if any(cell(record) for record in records)}


def flows(record: Record) -> int:
    value = record.facts.get("flows", -1)
    assert isinstance(value, int)
    return value


CHANGED = {name for name, records in ROWS.items() if len({str(record.facts) for record in records}) > 1}
EVERY = set(CATALOGUE)
QUERIES: dict[str, set[str]] = {
    "": EVERY,
    "differs": CHANGED,
    "not differs": EVERY - CHANGED,
    "-": set(),
    "changed": CHANGED,
    "status:fail": some(lambda r: r.status is Status.FAIL),
    "status:FAIL kernel:6.6": some(lambda r: r.status is Status.FAIL and r.kernel == "6.6.10"),
    "status:fail or status:timeout": some(lambda r: r.status in (Status.FAIL, Status.TIMEOUT)),
    "not status:pass": some(lambda r: r.status is not Status.PASS),
    "!status:pass": some(lambda r: r.status is not Status.PASS),
    "all(status:pass)": EVERY - some(lambda r: r.status is not Status.PASS),
    "none(status:fail)": EVERY - some(lambda r: r.status is Status.FAIL),
    "fact:flows=9": some(lambda r: flows(r) == 9),
    "fact:flows!=9": some(lambda r: flows(r) not in (9, -1)),
    "fact:flows<10 and kernel>=6.12": some(
        lambda r: 0 <= flows(r) < 10 and r.kernel in ("6.12.10", "6.17.10")
    ),
    "fact:flows<=10 kernel<5.15": EVERY,
    "fact:states.SYN_SENT=9": some(lambda r: flows(r) == 9),
    "fact:*lows=9": some(lambda r: flows(r) == 9),
    "fact:invalid=yes": some(lambda r: r.facts.get("invalid") is True),
    "fact:invalid=false": some(lambda r: r.facts.get("invalid") is False),
    "fact:verdict=drop*": some(lambda r: r.facts.get("verdict") == "dropped"),
    "fact:verdict=drop": set(),
    "fact:no_such_fact": set(),
    "topic:tcp": {name for name in CATALOGUE if name.startswith("tcp-")},
    "topic:tcp or topic:nat": {name for name in CATALOGUE if name.startswith(("tcp-", "nat-"))},
    "topic:tcp not differs or topic:nat": {
        n for n in CATALOGUE if (n.startswith("tcp-") and n not in CHANGED) or n.startswith("nat-")
    },
    "topic:tcp (differs or status:pass)": {name for name in CATALOGUE if name.startswith("tcp-")},
    "experiment:tcp-*": {name for name in CATALOGUE if name.startswith("tcp-")},
    "experiment:close": {name for name in CATALOGUE if "close" in name},
    "RESET": {name for name in CATALOGUE if "reset" in name},
    '"do what it did"': EVERY,
    '"does tcp" close': {name for name in CATALOGUE if name.startswith("tcp-") and "close" in name},
    "exists(kernel:5.10 fact:flows=10) exists(kernel:6.17.10 fact:flows=9)": {
        name for name, records in ROWS.items() if flows(records[0]) == 10 and flows(records[5]) == 9
    },
    "kernel:6.1": EVERY,
    "kernel:6.1 status:timeout": set(),
    "kernel:6.12 status:timeout": some(lambda r: r.kernel == "6.12.10" and r.status is Status.TIMEOUT),
    "kernel:*.10 status:fail": some(lambda r: r.status is Status.FAIL),
}
QUERIES["explained or unexplained or contradicted"] = CHANGED | some(lambda r: r.status is Status.TIMEOUT)
del QUERIES["-"]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_finds_what_the_records_say(small: OpenPage, query: str) -> None:
    page = small("")
    page.get_by_role("searchbox").fill(query)
    assert set(page.locator("tr.r:visible .name b").all_inner_texts()) == QUERIES[query]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("(differs", "not closed"),
        ("differs)", "no opening"),
        ("differs or", "ends where a term should follow"),
        ("or differs", "before “or”"),
        ("status:failed", "No status is called “failed”; there are pass, fail"),
        ("kernel:4.19", "No kernel of this run is “4.19”"),
        ("colour:red", "“colour:” is not something to ask for"),
        ("fact:", "asks for nothing"),
        ("fact:=7", "should look like"),
    ],
)
def test_a_query_that_is_wrong_says_why_and_changes_nothing(small: OpenPage, query: str, says: str) -> None:
    page = small("")
    page.get_by_role("searchbox").fill("topic:tcp")
    before = page.locator("tr.r:visible").count()
    page.get_by_role("searchbox").fill(query)
    expect(page.locator("#query-answer")).to_contain_text(says)
    expect(page.get_by_role("searchbox")).to_have_attribute("aria-invalid", "true")
    assert page.locator("tr.r:visible").count() == before
    page.get_by_role("searchbox").fill("")
    expect(page.locator("#query-answer")).to_have_text("14 rows")


@pytest.mark.parametrize(
    "query",
    [
        "differs or topic:nat",
        "not (differs or topic:nat)",
        "all(status:pass topic:tcp)",
        '"does tcp" differs',
    ],
)
def test_a_button_adds_its_term_to_the_whole_query_and_takes_it_away_again(
    small: OpenPage, query: str
) -> None:
    page = small("")
    page.get_by_role("searchbox").fill(query)
    without = set(page.locator("tr.r:visible .name b").all_inner_texts())
    page.get_by_role("button", name="unexplained", exact=True).click()
    both = set(page.locator("tr.r:visible .name b").all_inner_texts())
    page.get_by_role("searchbox").fill("unexplained")
    assert both == without & set(page.locator("tr.r:visible .name b").all_inner_texts())


def test_cells_that_answer_keep_their_colour(small: OpenPage) -> None:
    page = small("#q=fact:flows=9")
    failing = page.locator("tr.r:visible > td").evaluate_all(
        "cells => cells.map(cell => [cell.textContent.startsWith('B'), getComputedStyle(cell).backgroundColor"
        " !== 'rgba(0, 0, 0, 0)'])"
    )
    assert [True, True] in failing
    assert all(answers == coloured for answers, coloured in failing)
