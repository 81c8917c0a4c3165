"""The HTML report: one file that needs neither network nor server."""

from __future__ import annotations

from pathlib import Path

import msgspec
from markupsafe import Markup

from matrix.analysis.analysis import Analysis
from matrix.report.inline import digest, embedded_json, joined, source, template
from matrix.report.page.page import Page, make_page

_MANY = 40  # kernels, from which on columns are narrow


def html_report(analysis: Analysis, run: Path) -> str:
    """The whole page of a run whose directory is `run`. The page must be stored in `run/report/`:
    its links to the evidence start there.
    """
    return render(make_page(analysis, run))


def render(page: Page) -> str:
    """The page as HTML.

    The page's Content-Security-Policy lets the browser run and apply only the script and the style
    that are written here, even if a guest smuggles markup into a text.
    """
    style = source("base.css") + source("report.css") + _sizes(page)
    script = joined(scripts())
    return template("report.html.j2").render(
        page=page,
        style=Markup(style),
        style_hash=digest(style),
        script=Markup(script),
        script_hash=digest(script),
        data=Markup(embedded_json(page.data)),
    )


def scripts() -> list[str]:
    """The files of the page's script, in templates/, in the order in which they are joined. ESLint
    reads the same list: a file may use the names of the files before it.
    """
    return msgspec.json.decode(source("scripts.json"), type=list[str])


def _sizes(page: Page) -> str:
    """CSS with the number of columns of each series and strip, and of rows of each topic.

    The page's policy forbids style attributes.
    """
    rules = [f":root {{ --columns: {len(page.kernels)}; }}"]
    if len(page.kernels) > _MANY:
        rules.append(".dense { --column: 1.25rem; }")
    rules += [f"#matrix .g{place} {{ --span: {group.columns}; }}" for place, group in enumerate(page.groups)]
    rules += [
        f"#matrix .t{place} {{ --rows: {len(section.rows)}; }}" for place, section in enumerate(page.sections)
    ]
    rules += [f".s{span} {{ --n: {span}; }}" for span in range(2, len(page.kernels) + 1)]
    return "\n".join(rules) + "\n"
