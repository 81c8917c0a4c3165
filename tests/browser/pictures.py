"""Takes the pictures in docs/pictures from a run: `python -m tests.browser.pictures
results/latest`.

Which rows they show is chosen from the run itself: the row that changes most often, and the full
table.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, sync_playwright

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
_CHROMIUM = "/usr/bin/chromium"
_WIDE: Mapping[str, Any] = {"viewport": {"width": 1280, "height": 760}}
_PHONE: Mapping[str, Any] = {
    "viewport": {"width": 390, "height": 760},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}

# The row with the most changes, and its first changed cell.
_LIVELIEST = """() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const named = (row) => ({ row, name: data.experiments[row.experiment].name, changes: row.changes });
  const rows = data.rows.map(named);
  const livelier = (most, each) => (each.changes.length > most.changes.length ? each : most);
  const { row, name, changes } = rows.reduce(livelier);
  const key = row.label ? `${name}/${row.label}` : name;
  return changes.length ? `${key}@${data.kernels[changes[0].at].name}` : `${key}@${data.kernels[0].name}`;
}"""


def take(page: Path, target: Path = PICTURES) -> list[Path]:
    """The matrix, light and dark, a cell, a comparison of two kernels and a phone, of a run's
    `report/index.html`.
    """
    target.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        arguments = ["--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        chromium = playwright.chromium.launch(executable_path=_CHROMIUM, args=arguments)
        first = chromium.new_page()
        first.goto(page.as_uri())
        cell = first.evaluate(_LIVELIEST)
        ends = first.evaluate(
            "[...document.querySelectorAll('#from option')].slice(1).map((option) => option.value)"
        )
        taken = [
            _one(chromium, page, "#q=differs", target / "matrix.png", _WIDE, "light"),
            _one(chromium, page, "#q=differs", target / "matrix-dark.png", _WIDE, "dark"),
            _one(chromium, page, f"#q=differs&cell={cell}", target / "cell.png", _WIDE, "light"),
            _one(
                chromium,
                page,
                f"#q=differs&from={ends[0]}&to={ends[-1]}&pair=1",
                target / "two-kernels.png",
                _WIDE,
                "light",
            ),
            _one(chromium, page, "#q=differs", target / "phone.png", _PHONE, "dark"),
        ]
        chromium.close()
    return taken


def _one(
    chromium: Browser,
    page: Path,
    state: str,
    target: Path,
    device: Mapping[str, Any],
    scheme: Literal["light", "dark"],
) -> Path:
    context = chromium.new_context(**device, color_scheme=scheme, reduced_motion="reduce")
    opened = context.new_page()
    opened.goto(page.as_uri() + state)
    opened.wait_for_load_state()
    if "cell=" in state:
        opened.locator("#panel details").first.wait_for()
    opened.screenshot(path=target)
    context.close()
    return target


if __name__ == "__main__":
    for made in take(
        (Path(sys.argv[1] if len(sys.argv) > 1 else "results/latest") / "report" / "index.html").resolve()
    ):
        print(f"{made} ({made.stat().st_size / 1000:.0f} kB)")
