"""Text that means nothing to Markdown or HTML."""

from __future__ import annotations

import re

from matrix.report.sanitize import shown


def plain(text: str) -> str:
    """The text on one line, with all that Markdown or HTML would act on escaped."""
    text = re.sub(r"\s*\n\s*", " ", shown(text).strip())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#|~!])", r"\\\1", text)
