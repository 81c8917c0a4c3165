"""A page of 100 kernels x 200 experiments, where narrow strips are letters and topics out of sight
are not laid out.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bench import generate
from tests.support.pages import no_violations, until, write_page

pytestmark = pytest.mark.browser

ENTRIES, CATALOGUE = generate.kernels(100), generate.experiments(200)
LAST = list(CATALOGUE)[-1]


@pytest.fixture(scope="module")
def dense_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = list(generate.records(ENTRIES, tuple(CATALOGUE)))
    return write_page(tmp_path_factory.mktemp("dense"), records, CATALOGUE, ENTRIES)


def test_its_size_is_bounded(dense_run: Path) -> None:
    assert dense_run.stat().st_size < 1_500_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, dense_run: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    # Every status and several behaviours in sight; axe takes minutes over 20,000 cells.
    page.goto(dense_run.as_uri() + "#q=topic:tcp&from=5.10.10&to=6.1.73&cell=tcp-close-range-0@5.10.38")
    expect(page.locator("#panel")).to_be_visible()
    no_violations(page)


def test_a_cell_far_away_is_brought_into_sight_beside_the_panel(page: Page, dense_run: Path) -> None:
    page.goto(dense_run.as_uri() + f"#cell={LAST}@7.3.73")
    selected, panel, bar = (
        page.locator("td[aria-selected]"),
        page.locator("#panel"),
        page.locator("#matrix thead"),
    )
    expect(selected).to_be_in_viewport()
    boxes = [locator.bounding_box() for locator in (selected, panel, bar)]
    cell, beside, above = boxes
    assert cell
    assert beside
    assert above
    assert cell["x"] + cell["width"] <= beside["x"]
    assert cell["y"] >= above["y"] + above["height"]


def test_names_and_kernels_stay_in_sight_while_scrolling(page: Page, dense_run: Path) -> None:
    page.goto(dense_run.as_uri())
    page.evaluate("window.scrollTo(1500, 3000)")
    until(page, "scrollX > 800 && scrollY > 2500")
    # A topic that has just come into sight is drawn a little later; and between two topics there is
    # no row.
    row = "[500, 550, 600].map((y) => document.elementFromPoint(60, y)?.closest('tr.r')).find(Boolean)"
    until(page, row)
    assert 0 < page.evaluate(f"{row}.querySelector('.name').getBoundingClientRect().x") < 60
    assert page.evaluate(
        "document.elementFromPoint(700, document.querySelector('.toolbar').offsetHeight +"
        " 40).closest('thead') !== null"
    )


def test_the_keyboard_reaches_the_last_row(page: Page, dense_run: Path) -> None:
    page.goto(dense_run.as_uri())
    page.locator("#matrix [tabindex='0']").focus()
    for _ in range(20):
        page.keyboard.press("PageDown")
    page.keyboard.press("End")
    expect(page.locator(f"tr.r:has(b:text-is('{LAST}')) > td").last).to_be_focused()
    expect(page.locator("td:focus")).to_be_in_viewport()


def test_hidden_rows_leave_no_gap(page: Page, dense_run: Path) -> None:
    """A topic's height is foretold while it is out of sight; once rows are hidden the foretold one
    must not stay.
    """
    page.goto(dense_run.as_uri() + "#q=topic:fragments")
    # one topic, and the table of kernels
    until(page, "document.querySelectorAll('tbody:not([hidden])').length === 2")
    height = page.locator("#matrix").bounding_box()
    assert height
    assert height["height"] < 20 * 27 + 250


def test_a_phone_shows_names_above_their_letters(browser: Browser, dense_run: Path) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.goto(dense_run.as_uri())
    assert page.evaluate("visualViewport.width") == 360
    row = page.locator("tr.r").nth(1)
    name, first = row.locator(".name").bounding_box(), row.locator("td").first.bounding_box()
    assert name
    assert first
    assert name["x"] + 20 < 360
    assert first["y"] >= name["y"] + name["height"] - 1
    assert first["x"] < 10
    context.close()
