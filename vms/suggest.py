"""The end of every message about a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_FEW = 10
_NEAREST = 3


def suggestion(word: str, known: Iterable[str], listing: str = "") -> str:
    """`did you mean a or b?` with the nearest known names; without any near, all of them if they
    are few, else `listing`, which says where they are listed.
    """
    names = list(known)
    parts = [name for name in names if word and word.lower() in name.lower()]
    near = difflib.get_close_matches(word, names, n=_NEAREST) or parts[:_NEAREST]
    if near:
        return f"did you mean {' or '.join(near)}?"
    if len(names) > _FEW and listing:
        return listing
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names) or 'none'}"
