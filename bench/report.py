"""The page of 100 kernels x 200 experiments: what it takes to write, how large it is, how fast a
browser shows, scrolls and searches it.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench import generate
from bench.figure import Figure
from matrix.analysis.analysis import analyse
from matrix.analysis.table import make_table
from matrix.report.page.html import html_report

_KERNELS, _EXPERIMENTS = 100, 200
_CHROMIUM = "/usr/bin/chromium"

# From the event to the frame after the next, by when what it changed was painted. The floor is the
# same with an event that changes nothing.
_TYPED = """async (text) => {
  const query = document.getElementById('query');
  const start = performance.now();
  query.value = text;
  query.dispatchEvent(new Event('input', { bubbles: true }));
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  return performance.now() - start;
}"""
_NOTHING = """async () => {
  const start = performance.now();
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  return performance.now() - start;
}"""
# How long the frames took while the page moved by 120 px in each, down and then to the right.
_SCROLLED = """async () => {
  const frames = [];
  let last = performance.now();
  for (let step = 0; step < 60; step += 1) {
    window.scrollBy(step < 30 ? 0 : 120, step < 30 ? 120 : 0);
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - last);
    last = performance.now();
  }
  return frames.sort((a, b) => a - b);
}"""
_QUERIES = (
    "differs",
    "unexplained",
    "status:fail kernel>=6.12",
    "fact:flows=9",
    "fact:flows<10 or not status:pass",
    "",
)


def measure() -> list[Figure]:
    """Writes the page with evidence on disk and opens it."""
    entries, catalogue = generate.kernels(_KERNELS), generate.experiments(_EXPERIMENTS)
    records = list(generate.records(entries, tuple(catalogue)))
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory)
        for record in records:
            generate.write_evidence(run, record)
        manifest = generate.manifest(entries, tuple(catalogue))
        ledger = generate.ledger(make_table(manifest, records, catalogue))
        start = time.perf_counter()
        analysis = analyse(manifest, records, catalogue, ledger)
        analysed = time.perf_counter()
        page = html_report(analysis, run)
        written = time.perf_counter()
        target = run / "report" / "index.html"
        target.parent.mkdir()
        target.write_text(page, encoding="utf-8")
        size = target.stat().st_size
        seconds = {"analysis": analysed - start, "page": written - analysed}
        return [
            Figure(
                "render_seconds",
                written - start,
                "s",
                f"from records to the page of {_KERNELS} x {_EXPERIMENTS} cells",
                shares=seconds,
            ),
            Figure("megabytes", size / 1e6, "MB", "size of the page, evidence in it"),
            *_in_browser(target),
        ]


def _in_browser(target: Path) -> list[Figure]:
    arguments = ["--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=_CHROMIUM, args=arguments)
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        paints = [_first_paint(page, target) for _ in range(3)]
        floor = min(page.evaluate(_NOTHING) for _ in range(5))
        latencies = {query: min(page.evaluate(_TYPED, query) for _ in range(3)) for query in _QUERIES}
        frames = _frames(page)
        page.set_content(
            "<body style='width: 4000px; height: 7000px; background: linear-gradient(white, black)'>"
        )
        empty = _frames(page)
        chromium.close()
    return [*_opening(paints, latencies, floor), *_scrolling(frames, empty)]


def _opening(paints: list[dict[str, Any]], latencies: dict[str, float], floor: float) -> list[Figure]:
    slowest = max(latencies, key=lambda query: latencies[query])
    return [
        Figure(
            "first_paint_ms",
            min(paint["paint"] for paint in paints),
            "ms",
            "from navigation to the first contentful paint",
        ),
        Figure(
            "ready_ms",
            min(paint["ready"] for paint in paints),
            "ms",
            "from navigation until the page answers",
        ),
        Figure(
            "filter_ms",
            latencies[slowest],
            "ms",
            f"from a keystroke to the painted answer, slowest query ({slowest or 'none'})",
            floor=floor,
            floor_what="two frames in which nothing happens",
            goal="100",
        ),
    ]


def _scrolling(frames: list[float], empty: list[float]) -> list[Figure]:
    return [
        Figure(
            "scroll_median_ms",
            frames[len(frames) // 2],
            "ms",
            "a frame while scrolling, median",
            floor=empty[len(empty) // 2],
            floor_what="an empty page of that size",
            goal="17",
        ),
        Figure(
            "scroll_95th_ms",
            frames[len(frames) * 95 // 100],
            "ms",
            "a frame while scrolling, 95th percentile",
            floor=empty[len(empty) * 95 // 100],
            floor_what="an empty page of that size",
        ),
    ]


def _frames(page: Page) -> list[float]:
    page.wait_for_timeout(500)
    frames: list[float] = page.evaluate(_SCROLLED)
    return frames


def _first_paint(page: Page, target: Path) -> dict[str, Any]:
    page.goto("about:blank")
    page.goto(target.as_uri())
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    measured: dict[str, Any] = page.evaluate(
        "({ paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,"
        " ready: performance.getEntriesByType('navigation')[0].domComplete })"
    )
    return measured
