"""Words for what resets do to the entry of a connection."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, words


@words
def inwindow_rst(facts: Facts) -> str:
    closed = "" if facts["state"] == "ESTABLISHED" else "closed, "
    return f"{closed}{facts['lifetime']}"
