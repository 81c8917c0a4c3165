"""Parts of pages that need neither network nor server: all that a page loads is written into it,
and its Content-Security-Policy names the digests of that.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import jinja2
import msgspec

TEMPLATES = Path(__file__).parent / "templates"


@cache
def source(name: str) -> str:
    """The text of a file of templates/."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def joined(files: Iterable[str]) -> str:
    """Files of templates/ as one script: a file may use the names of the files before it."""
    return "(() => {\n'use strict';\n" + "".join(map(source, files)) + "})();\n"


def digest(text: str) -> str:
    """What a Content-Security-Policy calls the text of a script or a style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


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


@cache
def template(name: str) -> jinja2.Template:
    """A template of templates/. It escapes what is put into it, and refuses what is not there."""
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
