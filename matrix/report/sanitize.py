"""Makes text from a guest safe to show: bounded, and without characters that mislead a terminal, a
browser or a reader.

The template escapes HTML; this removes what escaping leaves: terminal escapes, bidirectional
overrides, megabytes.
"""

from __future__ import annotations

import re

from matrix.results.record import FactValue

MOST_CHARACTERS = 1_000
MOST_ITEMS = 100

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def shown(text: str, most: int = MOST_CHARACTERS) -> str:
    r"""The text with control and invisible characters made visible, cut to `most` characters.

    >>> shown("\x1b[31mred")
    '␛[31mred'
    """
    cut = len(text) - most
    if cut > 0:
        text = text[:most]
    text = _CONTROL.sub(_visible, text.replace("\r\n", "\n"))
    return f"{text} … {cut:,} characters more" if cut > 0 else text


def shown_value(value: FactValue) -> FactValue:
    """A fact's value, bounded in the same way; a last item counts the items that were cut."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, list):
        left = len(value) - MOST_ITEMS
        return [shown(item) for item in value[:MOST_ITEMS]] + ([f"… {left:,} more"] if left > 0 else [])
    if isinstance(value, dict):
        left = len(value) - MOST_ITEMS
        items = {shown(key): number for key, number in list(value.items())[:MOST_ITEMS]}
        return items | ({"… more": left} if left > 0 else {})
    return value


def in_words(value: FactValue) -> str:
    """A fact's value on one line: `yes`, `7`, `SYN_SENT 7, UNREPLIED 3`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items()) or "none"
    return str(value) if value != "" else "empty"


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 32:
        return chr(0x2400 + code)
    return "\u2421" if code == 127 else f"<U+{code:04X}>"
