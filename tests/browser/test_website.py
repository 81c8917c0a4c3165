"""The site in a real browser, opened from disk."""

from __future__ import annotations

import random
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import permutations
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlparse

import pytest
from playwright.sync_api import Browser, Page, expect

from bench import generate
from commands.shell import RESULTS
from matrix.analysis.ledger.read import read_ledger
from matrix.plan.catalogue import read_catalogue
from matrix.report.website.contents import Contents, read_contents
from matrix.report.website.files import files
from matrix.report.website.output import write_site
from tests.support.pages import no_violations
from tests.support.sites import SHOWN, expected_story, made_contents

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def contents() -> Contents:
    """The record itself."""
    return read_contents([RESULTS / "reference"], read_catalogue(None), read_ledger())


@pytest.fixture(scope="module")
def site(contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the site of the record."""
    directory = tmp_path_factory.mktemp("site") / "site"
    write_site(directory, files(contents))
    return directory.as_uri()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Contents, str]:
    """A site of generated answers, with failures and changes that the ledger contradicts."""
    entries, catalogue = generate.kernels(20), generate.experiments(40)
    records = list(generate.records(entries, tuple(catalogue)))
    made = made_contents(tmp_path_factory.mktemp("runs") / "run", entries, records, catalogue)
    directory = tmp_path_factory.mktemp("mixed") / "site"
    write_site(directory, files(made))
    return made, directory.as_uri()


def newest(contents: Contents, series: str) -> str:
    """The name of the newest build of a series."""
    return [build.entry.name for build in contents.builds if build.entry.series == series][-1]


def stories_are_those_of_the_task(page: Page, address: str, contents: Contents) -> None:
    pairs = list(permutations(range(len(contents.builds)), 2))
    page.goto(f"{address}/index.html")
    for left, right in random.Random(15).sample(pairs, 20):
        one, other = (contents.builds[column].entry.name for column in (left, right))
        page.get_by_label("From", exact=True).select_option(one)
        page.get_by_label("To", exact=True).select_option(other)
        assert page.evaluate(SHOWN) == expected_story(contents, left, right)


def test_the_story_of_any_pair_is_what_upgrade_says(page: Page, site: str, contents: Contents) -> None:
    stories_are_those_of_the_task(page, site, contents)


def test_failures_and_contradictions_are_told_as_upgrade_tells_them(
    page: Page, mixed: tuple[Contents, str]
) -> None:
    contents, address = mixed
    stories_are_those_of_the_task(page, address, contents)


def test_the_address_holds_the_pair_and_may_name_series(page: Page, site: str, contents: Contents) -> None:
    old, new = newest(contents, "6.1"), newest(contents, "6.12")
    page.goto(f"{site}/index.html#from=6.1&to=6.12")
    expect(page.locator("#story h2")).to_contain_text(f"From {old} ")
    page.get_by_role("button", name="Swap").click()
    expect(page.locator("#story h2")).to_contain_text(f"From {new} ")
    assert page.url.endswith(f"#from={new}&to={old}")
    page.go_back()
    expect(page.locator("#story h2")).to_contain_text(f"From {old} ")


def test_a_pair_that_has_no_story_is_told_apart(page: Page, site: str, contents: Contents) -> None:
    page.goto(f"{site}/index.html#from=6.1&to=2.6.32")
    expect(page.locator("#story")).to_have_text("The record has no build 2.6.32. Choose one of the list.")
    page.goto(f"{site}/index.html#from=6.1&to={newest(contents, '6.1')}")
    expect(page.locator("#story")).to_have_text("This is one and the same build. Choose another one.")


PAGES = (
    "index.html#from=6.1&to=6.12",
    "questions.html",
    "builds.html",
    "commits.html",
    "search.html#q=reset",
    "topic/tcp-reset.html",
    "question/inwindow-rst.html",
    "build/{}.html",
    "commit/dnat-first.html",
)
"""A page of each kind; the braces stand for a build."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_kind_of_page(
    page: Page, site: str, contents: Contents, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for path in PAGES:
        page.goto(f"{site}/{path.format(newest(contents, '6.12'))}")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        no_violations(page)


def test_no_page_needs_scrolling_sideways_on_a_phone(page: Page, site: str, contents: Contents) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for path in PAGES:
        page.goto(f"{site}/{path.format(newest(contents, '6.12'))}")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path


def test_a_story_leads_to_the_pages_of_its_commits_and_questions(page: Page, site: str) -> None:
    page.goto(f"{site}/index.html#from=6.1&to=6.12")
    page.locator(".reason a").first.click()
    expect(page.get_by_role("heading", name="Which builds hold it")).to_be_visible()
    page.go_back()
    page.locator("#story summary").first.click()
    page.locator("#story details a").first.click()
    expect(page.get_by_role("heading", name="Ask it yourself")).to_be_visible()


class _Quiet(SimpleHTTPRequestHandler):
    """Says nothing to the terminal."""

    def log_message(self, *words: object) -> None:
        pass


def test_the_site_works_below_any_path_of_a_web_server(browser: Browser, site: str) -> None:
    below = Path(unquote(urlparse(site).path)).parent
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(below)))
    serving = Thread(target=server.serve_forever)
    serving.start()
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/site/index.html#from=6.1&to=6.12")
        expect(page.locator("#story h2")).to_contain_text("From 6.1.")
        page.locator(".reason a").first.click()
        page.get_by_role("link", name="Search").click()
        page.get_by_role("searchbox").fill("reset")
        expect(page.locator("#found")).to_contain_text("inwindow-rst")
    finally:
        context.close()
        server.shutdown()
        serving.join()
        server.server_close()


def test_search_finds_questions_builds_and_commits_as_one_types(
    page: Page, site: str, contents: Contents
) -> None:
    page.goto(f"{site}/search.html")
    page.get_by_role("searchbox").fill("reset window")
    expect(page.locator("#found")).to_contain_text("inwindow-rst")
    page.get_by_role("searchbox").fill(newest(contents, "6.12"))
    expect(page.locator("#found li").first).to_contain_text(newest(contents, "6.12"))
    page.get_by_role("searchbox").fill("c77737b736ce")
    expect(page.locator("#count")).to_have_text("1 found")
    page.locator("#found a").click()
    expect(page.locator("h1")).to_contain_text("A hash chain may hold")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("c77737b736ce")
    page.get_by_role("searchbox").fill("<b>nothing</b> has this")
    expect(page.locator("#count")).to_have_text("0 found")
