"""Escapes text for Markdown and HTML."""

from __future__ import annotations

import re

from vms.text import shown


def plain(text: str) -> str:
    """The text on one line, with every character that Markdown or HTML would interpret escaped."""
    text = re.sub(r"\s*\n\s*", " ", shown(text).strip())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#|~!])", r"\\\1", text)
