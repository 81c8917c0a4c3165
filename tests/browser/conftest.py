"""Debian's Chromium on pages from disk, without a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench import generate
from tests.support.pages import OpenPage, write_page

CHROMIUM = "/usr/bin/chromium"
# On a machine that is busy with eight other processes a click on a page of 1 MB took half a minute.
_MILLISECONDS = 180_000
expect.set_options(timeout=_MILLISECONDS)
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    *(("--no-sandbox",) if os.geteuid() == 0 else ()),
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of which nothing may be asked from the network, and on which no script may fail."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(_MILLISECONDS)
    wrong: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "console",
        lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None,
    )
    opened.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:", "blob:")) else wrong.append(request.url)
        ),
    )
    yield opened
    context.close()
    assert not wrong


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of 6 kernels and 14 experiments, its evidence beside it."""
    entries, catalogue = generate.kernels(6), generate.experiments(14)
    records = list(generate.records(entries, tuple(catalogue)))
    run = tmp_path_factory.mktemp("small")
    for record in records:
        generate.write_evidence(run, record)
    return write_page(run, records, catalogue, entries)


@pytest.fixture
def small(page: Page, small_run: Path) -> OpenPage:
    """Opens the small run's page at a state of the address."""

    def go(state: str = "") -> Page:
        page.goto(small_run.as_uri() + state)
        return page

    return go
