"""How readers move about in the report: addresses, keyboard, scrolling, a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.pages import (
    CHANGED,
    OpenPage,
    cell,
    no_violations,
    shown_kernels,
    shown_rows,
    until,
)

pytestmark = pytest.mark.browser


def test_the_address_brings_back_query_kernels_and_cell(small: OpenPage) -> None:
    page = small("")
    page.get_by_role("searchbox").fill("differs topic:tcp")
    page.get_by_label("from").select_option("5.15.10")
    page.locator(cell(page, CHANGED, 3)).click()
    address = page.url
    again = small("#")
    assert len(shown_rows(again)) == 14
    again.goto("about:blank")
    again.goto(address)
    expect(again.get_by_role("searchbox")).to_have_value("differs topic:tcp")
    assert shown_kernels(again)[0] == "5.15.10"
    expect(again.get_by_role("dialog", name=CHANGED)).to_be_visible()


def test_back_undoes_one_step(small: OpenPage) -> None:
    page = small("")
    page.get_by_role("button", name="differs", exact=True).click()
    page.locator(cell(page, CHANGED, 3)).click()
    page.go_back()
    expect(page.locator("#panel")).to_be_hidden()
    assert len(shown_rows(page)) < 14
    page.go_back()
    assert len(shown_rows(page)) == 14


def test_a_range_of_kernels_is_the_same_in_either_order(small: OpenPage) -> None:
    forth = shown_kernels(small("#from=5.15.10&to=6.6.10"))
    assert forth == ["5.15.10", "6.1.10", "6.6.10"]
    small("#")
    assert shown_kernels(small("#from=6.6.10&to=5.15.10")) == forth


def test_counts_lead_to_what_they_count(small: OpenPage) -> None:
    page = small("")
    for count in page.locator("#counts button").all():
        number = int(count.locator("b").inner_text())
        term = count.get_attribute("data-term")
        count.click()
        expect(page.get_by_role("searchbox")).to_have_value(term or "")
        # All but the first, which counts rows, count cells.
        counted = "tr.r:visible" if term == "differs" else "tr.r:visible > td.hit"
        assert page.locator(counted).count() == number, term
        count.click()
    assert page.locator("td.hit").count() == 0


def test_topic_and_status_write_into_the_query(small: OpenPage) -> None:
    page = small("")
    page.get_by_label("topic").select_option("nat")
    expect(page.get_by_role("searchbox")).to_have_value("topic:nat")
    page.get_by_label("status").select_option("fail")
    expect(page.get_by_role("searchbox")).to_have_value("topic:nat status:fail")
    page.get_by_label("topic").select_option("any")
    expect(page.get_by_role("searchbox")).to_have_value("status:fail")
    expect(page.get_by_label("status")).to_have_value("fail")


def test_the_keyboard_alone_reaches_a_cell_and_comes_back(small: OpenPage) -> None:
    page = small("")
    page.locator("#matrix [tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name=CHANGED)).to_be_focused()
    assert page.url.endswith(f"#cell={CHANGED}@5.15.10")
    page.keyboard.press("Escape")
    expect(page.locator(cell(page, CHANGED, 1))).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    expect(page.locator("tr.fact:visible").first).to_contain_text("packets")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_arrows_step_over_hidden_rows_and_kernels(small: OpenPage) -> None:
    page = small("#q=differs&from=5.10.10&to=6.6.10&pair=1")
    rows = shown_rows(page)
    page.locator("#matrix [tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    focused = page.evaluate(
        "[document.activeElement.parentElement.querySelector('.name b').textContent,"
        " document.activeElement.cellIndex]"
    )
    assert focused == [rows[1], 4]


def test_headers_stay_in_sight(small: OpenPage) -> None:
    page = small("")
    page.set_viewport_size({"width": 760, "height": 500})
    page.mouse.wheel(400, 700)
    until(page, "scrollY > 300 && scrollX > 100")
    bar = page.locator("#toolbar").bounding_box()
    head = page.locator(".kernels").bounding_box()
    name = page.locator("tr.r:visible > th").last.bounding_box()
    assert bar
    assert head
    assert name
    assert bar["y"] == 0
    assert 0 < head["y"] < 250
    assert name["x"] == 0


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_reads_names_without_scrolling_sideways(
    browser: Browser, small_run: Path, width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 760}, is_mobile=True, has_touch=True, device_scale_factor=2
    )
    page = context.new_page()
    page.goto(small_run.as_uri())
    assert page.evaluate("visualViewport.width") == width
    for name in page.locator("tr.r:visible > th .question").all():
        box = name.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    page.locator(cell(page, CHANGED, 1)).tap()
    panel = page.locator("#panel").bounding_box()
    assert panel
    assert panel["width"] == pytest.approx(width)
    no_violations(page)
    context.close()
