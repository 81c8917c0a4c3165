"""The gate for text from outside: guests, packages, mirrors, other people's files.

What passes it is bounded and holds no character that commands a terminal, hides, reorders other
text, or is refused by XML or a database. It escapes nothing: each writer escapes for its format.
"""

from __future__ import annotations

import re
import unicodedata

MOST_CHARACTERS = 1_000

# Characters that take no room although their category is that of letters or marks: the part of
# Unicode's Default_Ignorable_Code_Point that a category does not tell.
_INVISIBLE = {
    0x034F,
    0x115F,
    0x1160,
    0x17B4,
    0x17B5,
    0x3164,
    0xFFA0,
    *range(0x180B, 0x1810),
    *range(0xFE00, 0xFE10),
    *range(0xE0100, 0xE01F0),
}
# Control, format, surrogate, private use, unassigned (noncharacters too), line and paragraph ends.
_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class _Visible(dict[int, str]):
    """Maps a character to how it is shown. Only ASCII is kept: a guest may send all of Unicode."""

    def __missing__(self, code: int) -> str:
        if code in _INVISIBLE or unicodedata.category(chr(code)) in _CATEGORIES:
            return f"<U+{code:04X}>"
        return chr(code)


_CUT = re.compile(r" … [0-9,]{1,20} characters more")
_VISIBLE = _Visible(
    {code: chr(code) for code in (*range(32, 127), *b"\t\n")}
    | {code: chr(0x2400 + code) for code in range(32) if code not in b"\t\n"}
    | {127: "\u2421"}
)


def shown(text: str, most: int = MOST_CHARACTERS) -> str:
    r"""The text with characters that cannot be seen made visible, cut to `most` characters, after
    which it says how many are missing. Shown once more it stays the same. Tabs and line ends stay.

    >>> shown("\x1b[31mred\0")
    '␛[31mred␀'
    """
    if len(text) <= most and text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    if _CUT.fullmatch(text, most):  # cut here before
        most = len(text)
    start = text[: most + 1]
    seen = start.translate(_VISIBLE)
    if len(text) <= most and len(seen) <= most:
        return seen
    left = len(seen) - most + len(text) - len(start)
    return f"{seen[:most]} … {left:,} characters more"
