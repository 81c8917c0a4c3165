"""The report in a real browser, opened from disk."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bench import generate
from matrix.report.words import in_words
from matrix.results.record import Asked, FactValue, Leak, Record, Status
from tests.support.fakes import make_experiment
from tests.support.pages import (
    CHANGED,
    OpenPage,
    cell,
    no_violations,
    shown_kernels,
    shown_rows,
    write_page,
)

pytestmark = pytest.mark.browser


def test_every_experiment_is_a_row_and_every_kernel_a_column(small: OpenPage) -> None:
    page = small("")
    assert len(shown_rows(page)) == 14
    assert shown_kernels(page) == ["5.10.10", "5.15.10", "6.1.10", "6.6.10", "6.12.10", "6.17.10"]
    assert page.locator("tr.r").first.locator("td").count() == 6


def test_cells_of_one_row_have_one_colour_exactly_if_their_facts_are_equal(small: OpenPage) -> None:
    page = small("")
    look = [
        page.locator(cell(page, CHANGED, column)).evaluate(
            "cell => [cell.textContent[0], getComputedStyle(cell).backgroundColor]"
        )
        for column in range(6)
    ]
    assert [letter for letter, _ in look] == ["A", "A", "A", "B", "A", "B"]
    assert len({colour for letter, colour in look if letter == "A"}) == 1
    assert look[0][1] != look[3][1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "state",
    [
        "",
        f"#q=differs&cell={CHANGED}@6.6.10",
        f"#row={CHANGED}",
        "#q=status:fail+kernel>=6.6",
        "#q=nothing-has-this",
    ],
)
def test_axe_finds_nothing(small: OpenPage, scheme: str, state: str) -> None:
    page = small("")
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page = small(state)
    if "cell=" in state:
        expect(page.locator("#panel details").first).to_be_visible()
        for summary in page.locator("#panel summary").all():
            if not summary.evaluate("summary => summary.parentElement.open"):
                summary.click()
    no_violations(page)


def test_axe_finds_nothing_in_help_and_unfolded_facts(small: OpenPage) -> None:
    page = small("")
    page.get_by_role("button", name="all facts").click()
    no_violations(page)
    page.get_by_role("button", name="Help", exact=True).click()
    no_violations(page)


def test_a_cell_opens_with_facts_evidence_and_the_command(small: OpenPage) -> None:
    page = small("")
    page.locator(cell(page, CHANGED, 3)).click()
    panel = page.get_by_role("dialog", name=CHANGED)
    expect(panel).to_contain_text("6.6.10")
    expect(panel.locator("thead").first).to_contain_text("6.1.10")
    expect(panel.locator("thead").first).to_contain_text("6.12.10")
    expect(panel.locator("tr.differs").first).to_contain_text("flows")
    expect(panel).to_contain_text(f"./invoke matrix -k debian:6.6.10+deb-cloud-amd64=6.6.10-1 -e {CHANGED}")
    expect(panel).to_contain_text("SYN_SENT src=198.18.0.2 dst=192.0.2.1 sport=10000")
    panel.get_by_text("capture.pcap").click()
    expect(panel).to_contain_text("198.18.0.2:10009")
    link = panel.locator("details", has_text="capture.pcap").get_by_role("link", name="file")
    target = Path(re.sub("^file://", "", link.evaluate("a => a.href")))
    assert target.read_bytes()[:4] == b"\xd4\xc3\xb2\xa1"


def strips(page: Page, experiment: str) -> list[tuple[int, str, str]]:
    """The strips of a row in sight: how many cells each has, its letter, its facts."""
    found: list[tuple[int, str, str]] = []
    for one in page.locator(f"tr.r:has(b:text-is('{experiment}')) > td:visible").all():
        if "j" in (one.get_attribute("class") or "").split():
            assert one.locator(".lines").is_hidden() or not one.locator(".lines").count()
            found[-1] = (found[-1][0] + 1, *found[-1][1:])
        else:
            found.append((1, one.inner_text()[0], one.locator(".lines").inner_text()))
    return found


def test_neighbours_that_behave_alike_are_one_strip_with_the_facts_once(small: OpenPage) -> None:
    page = small("")
    assert [(cells, letter) for cells, letter, _ in strips(page, CHANGED)] == [
        (3, "A"),
        (1, "B"),
        (1, "A"),
        (1, "B"),
    ]
    facts = [text.splitlines()[0] for _, _, text in strips(page, CHANGED)]
    assert facts == ["flows 10", "flows 9", "flows 10", "flows 9"]


def test_strips_are_of_the_kernels_in_sight(small: OpenPage) -> None:
    page = small("#from=5.15.10&to=6.6.10")
    assert [one[:2] for one in strips(page, CHANGED)] == [(2, "A"), (1, "B")]
    assert strips(page, CHANGED)[0][2].startswith("flows 10")
    page = small("#from=5.10.10&to=6.12.10&pair=1")
    assert [one[:2] for one in strips(page, CHANGED)] == [(2, "A")]
    page = small("")
    assert [one[0] for one in strips(page, CHANGED)] == [3, 1, 1, 1]


def test_every_part_of_a_strip_opens_the_cell_of_its_kernel(small: OpenPage) -> None:
    page = small("")
    page.locator(cell(page, CHANGED, 2)).click()
    expect(page.get_by_role("dialog", name=CHANGED)).to_contain_text("6.1.10")
    assert page.url.endswith(f"cell={CHANGED}@6.1.10")


def test_on_paper_a_rule_begins_each_strip(small: OpenPage) -> None:
    page = small("")
    page.emulate_media(media="print")
    look = "td => [getComputedStyle(td).borderLeftWidth, getComputedStyle(td).borderLeftColor].join()"
    rules = [page.locator(cell(page, CHANGED, column)).evaluate(look) for column in range(4)]
    assert rules[0] == rules[3] != rules[1] == rules[2]


def test_a_pair_of_kernels_shows_two_columns_and_what_differs_between_them(small: OpenPage) -> None:
    page = small("#q=differs&from=5.10.10&to=6.6.10&pair=1")
    assert shown_kernels(page) == ["5.10.10", "6.6.10"]
    for row in page.locator("tr.r:visible").all():
        letters = [cell.inner_text()[0] for cell in row.locator("td:visible").all()]
        assert letters[0] != letters[1]
    assert page.locator(".series th:visible").all_inner_texts() == ["5.10", "6.6"]


def test_a_change_is_marked_against_the_neighbour_in_sight(small: OpenPage) -> None:
    """6.6.10 differs from 6.1.10; with those in between left out, it differs from 5.10.10; where it
    comes first, from nothing.
    """
    mark = re.compile("explained|contradicted")
    page = small("#from=5.10.10&to=6.6.10&pair=1")
    expect(page.locator(cell(page, CHANGED, 3))).to_have_class(mark)
    page.get_by_label("from").select_option("6.6.10")
    page.get_by_label("to", exact=True).select_option("6.17.10")
    expect(page.locator(cell(page, CHANGED, 3))).not_to_have_class(mark)
    expect(page.locator(cell(page, CHANGED, 5))).not_to_have_class(mark)
    page.get_by_label("only these two").uncheck()
    page.get_by_label("from").select_option("first")
    for column, marked in enumerate([False, False, False, True, True, True]):
        locator = expect(page.locator(cell(page, CHANGED, column)))
        locator.to_have_class(mark) if marked else locator.not_to_have_class(mark)


def test_a_kernels_head_counts_the_rows_in_which_it_differs_from_its_neighbour_in_sight(
    small: OpenPage,
) -> None:
    def counts(page: Page) -> list[int]:
        return [int(text.split()[0]) for text in page.locator(".into:visible").all_inner_texts()]

    page = small("")
    every = counts(page)
    assert len(every) == 5
    page.locator(".into").nth(2).click()
    assert len(shown_rows(page)) == every[2] > 0
    pair = small("#q=differs&from=5.10.10&to=6.6.10&pair=1")
    assert counts(pair) == [len(shown_rows(pair))]


def test_a_row_that_is_the_same_in_all_kernels_in_sight_is_grey(small: OpenPage) -> None:
    page = small("#from=6.6.10&to=6.12.10")
    colours = (
        "row => new Set([...row.querySelectorAll('td')].map(td => getComputedStyle(td).backgroundColor)).size"
    )
    grey = [
        row.evaluate("row => getComputedStyle(row.cells[4]).backgroundColor")
        for row in page.locator("tr.r:not(.d)").all()
    ]
    assert len(grey) > 1
    assert len(set(grey)) == 1
    assert all(row.evaluate(colours) > 1 for row in page.locator("tr.r.d").all())


def test_fact_rows_show_where_one_fact_changed(small: OpenPage) -> None:
    page = small("")
    page.get_by_role("button", name=f"Facts of {CHANGED}").click()
    flows = page.locator("tr.fact:visible", has_text="flows")
    assert flows.locator("td").all_inner_texts() == ["10", "10", "10", "9", "10", "9"]
    colours = flows.locator("td").evaluate_all(
        "cells => cells.map(cell => getComputedStyle(cell).backgroundColor)"
    )
    assert (colours[0] == colours[2], colours[0] == colours[3]) == (True, False)


def test_the_theme_follows_the_system_until_it_is_chosen(small: OpenPage) -> None:
    page = small("")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(paper)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(paper)
    assert dark != light
    button = page.get_by_role("button", name="Colours")
    button.click()
    button.click()
    assert page.evaluate(paper) == dark
    page.reload()
    assert page.evaluate(paper) == dark


def test_without_scripts_the_table_is_complete(browser: Browser, small_run: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(small_run.as_uri())
    assert page.locator("tr.r").count() == 14
    assert "10/10" in page.locator("#matrix").inner_text()
    assert page.locator("#toolbar").is_hidden()
    assert "Scripts are off" in page.locator("noscript").inner_text()
    context.close()


def test_the_page_writes_values_of_facts_as_the_other_reports_do(page: Page, tmp_path: Path) -> None:
    (entry,) = generate.kernels(1)
    facts: dict[str, FactValue] = {
        "yes": True,
        "no": False,
        "count": 7,
        "text": "dropped",
        "no_text": "",
        "list": ["a", "b"],
        "no_items": [],
        "map": {"SYN_SENT": 7, "UNREPLIED": 3},
        "empty_map": {},
    }
    records = [Record(entry.name, "e", {}, Status.PASS, facts)]
    target = write_page(tmp_path, records, {"e": make_experiment("e", {})}, (entry,))
    page.goto(f"{target.as_uri()}#cell=e@{entry.name}")
    panel = page.locator("#panel .facts tbody td")
    expect(panel).to_have_text([in_words(value) for value in facts.values()])


def test_answers_in_words_stand_in_strips_and_in_the_panel_and_can_be_found(
    page: Page, tmp_path: Path
) -> None:
    entries = generate.kernels(3)
    records = [
        Record(entry.name, "slab-size", {}, Status.PASS, {"bytes": number})
        for entry, number in zip(entries, (320, 256, 256), strict=True)
    ]
    target = write_page(tmp_path, records, {"slab-size": make_experiment("slab-size")}, entries)
    page.goto(f"{target.as_uri()}#q=256&cell=slab-size@{entries[1].name}")
    assert strips(page, "slab-size") == [(1, "A", "320 bytes"), (2, "B", "256 bytes")]
    expect(page.locator("#panel strong")).to_have_text("256 bytes")


def test_the_panel_says_how_a_cell_was_asked(page: Page, tmp_path: Path) -> None:
    entries = generate.kernels(2)
    leak = Leak("other on 6.1", "pass: {}")
    records = [
        Record(entries[0].name, "e", {}, Status.PASS, {"x": 1}, attempts=3, leak=leak),
        Record(entries[1].name, "e", {}, Status.PASS, {"x": 1}, asked=Asked("g", 14, "o"), reused="20261101"),
    ]
    target = write_page(tmp_path, records, {"e": make_experiment("e", {"x": int})}, entries)
    for entry, said in zip(
        entries,
        (
            "after 3 attempts, in a guest that was asked nothing before",
            "as cell 14 of its guest, by the earlier run 20261101",
        ),
        strict=True,
    ):
        page.goto(f"{target.as_uri()}#cell=e@{entry.name}")
        expect(page.locator("#panel")).to_contain_text(said)
    page.goto(f"{target.as_uri()}#cell=e@{entries[0].name}")
    expect(page.locator("#panel")).to_contain_text("leak after other on 6.1: e on ")


def test_of_a_long_list_what_differs_is_told(page: Page, tmp_path: Path) -> None:
    entries, listed = generate.kernels(2), [f"the feature {number}" for number in range(20)]
    values = (listed, [*listed[1:], "a feature <b>more</b>"])
    records = [
        Record(entry.name, "e", {}, Status.PASS, {"words": value})
        for entry, value in zip(entries, values, strict=True)
    ]
    target = write_page(tmp_path, records, {"e": make_experiment("e", {"words": list})}, entries)
    page.goto(f"{target.as_uri()}#cell=e@{entries[1].name}")
    expect(page.locator("#panel .change li")).to_have_text(
        "words without the feature 0; with a feature <b>more</b>"
    )
