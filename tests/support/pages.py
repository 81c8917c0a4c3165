"""Pages of generated runs, and how tests look at them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from bench import generate
from guest.catalogue import Experiment
from matrix.analysis.analysis import analyse
from matrix.analysis.table import make_table
from matrix.report.page.html import html_report
from matrix.results.manifest import KernelEntry
from matrix.results.record import Record

_SECONDS = 180  # on however busy a machine


def write_page(
    run: Path, records: list[Record], catalogue: dict[str, Experiment], entries: tuple[KernelEntry, ...]
) -> Path:
    manifest = generate.manifest(entries, tuple(catalogue))
    ledger = generate.ledger(make_table(manifest, records, catalogue))
    target = run / "report" / "index.html"
    target.parent.mkdir()
    target.write_text(html_report(analyse(manifest, records, catalogue, ledger), run), encoding="utf-8")
    return target


OpenPage = Callable[[str], Page]


def until(page: Page, expression: str) -> None:
    """Waits until this holds on the page.

    `wait_for_function` would evaluate it there, which the page's own policy forbids.
    """
    end = time.monotonic() + _SECONDS
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"waited {_SECONDS} s for {expression}"
        page.wait_for_timeout(20)


def no_violations(page: Page) -> None:
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


CHANGED = "tcp-overshoot-close-1"


def shown_rows(page: Page) -> list[str]:
    return page.locator("tr.r:visible .name b").all_inner_texts()


def shown_kernels(page: Page) -> list[str]:
    return page.locator(".kernels th:not(.corner):visible > span").all_inner_texts()


def cell(page: Page, experiment: str, column: int) -> str:
    """The selector of a cell, columns counted from 0."""
    return f"tr.r:has(b:text-is('{experiment}')) > td:nth-child({column + 2})"
