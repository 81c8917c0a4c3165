"""Escapes text for Markdown and HTML."""

from __future__ import annotations

import re

from vms.text import shown

# What GitHub, GitLab and others make a link or a mention of without any markup: addresses, names of
# people, numbers of issues and merge requests.
_LINKED = re.compile(
    r"(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=@)(?=\w)|(?<=[#!])(?=\d)|(?<=\bGH-)(?=\d)", re.IGNORECASE
)
_JOINER = "&#8288;"
"""A word joiner: it takes no room and no part in a link."""


def plain(text: str) -> str:
    """The text on one line, with every character that Markdown or HTML would interpret escaped, and
    with no address, mention or reference that becomes a link by itself.
    """
    text = re.sub(r"\s*\n\s*", " ", shown(text).strip())
    text = _LINKED.sub("\0", text)  # stands for the joiner until the others are escaped
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_{}\[\]()#|~!])", r"\\\1", text)
    return text.replace("\0", _JOINER)
