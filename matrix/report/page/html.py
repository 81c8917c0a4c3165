"""The HTML report: one file that needs neither network nor server."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2
import msgspec
from markupsafe import Markup

from matrix.analysis.analysis import Analysis
from matrix.report.page.page import Page, make_page

_MANY = 40  # kernels, from which on columns are narrow
_TEMPLATES = Path(__file__).parents[1] / "templates"


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
    style = _source("report.css") + _sizes(page)
    script = "(() => {\n'use strict';\n" + "".join(map(_source, scripts())) + "})();\n"
    return _template().render(
        page=page,
        style=Markup(style),
        style_hash=_digest(style),
        script=Markup(script),
        script_hash=_digest(script),
        data=Markup(embedded_json(page.data)),
    )


def embedded_json(data: object) -> str:
    """JSON for a script element: it contains no `<`, so no text in it ends or opens an element or a
    comment.
    """
    text = msgspec.json.encode(data).decode()
    return (
        text.replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def scripts() -> list[str]:
    """The files of the page's script, in templates/, in the order in which they are joined. ESLint
    reads the same list: a file may use the names of the files before it.
    """
    return msgspec.json.decode(_source("scripts.json"), type=list[str])


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


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.j2")
