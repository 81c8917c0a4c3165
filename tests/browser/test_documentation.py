"""The documentation's search, in a browser, from a server on this machine and from disk."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from matrix.report.documentation import build_documentation
from tests.support.project import ROOT

pytestmark = pytest.mark.browser


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site's directory. Its name has what is written differently in an address."""
    site = tmp_path_factory.mktemp("site") / 'a "site" & more'
    build_documentation(ROOT, site, tmp_path_factory.mktemp("staged"))
    return site


def test_a_word_is_found_and_nothing_is_asked_of_another_host(browser: Browser, site: Path) -> None:
    handler = partial(_Silent, directory=str(site))
    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}/"
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{here}index.html?q=unexplained")
        found = page.locator(".md-search-result__link").first
        expect(found).to_be_attached()
        assert (found.get_attribute("href") or "").startswith(here)
        page.close()
        server.shutdown()
    assert asked
    assert [url for url in asked if not url.startswith((here, "data:", "blob:"))] == []


def test_a_word_that_is_typed_is_found_on_a_page_from_disk(page: Page, site: Path) -> None:
    """The fixture `page` fails if anything is asked of the network."""
    page.goto((site / "docs" / "glossary.html").as_uri())
    page.locator(".md-search__input").click()
    page.keyboard.type("unexplained")
    found = page.locator(".md-search-result__link").first
    found.click()
    expect(page.locator("h1")).to_be_visible()
    assert page.url.startswith(site.as_uri())
    assert "h=unexplained" in page.url
