"""Words for the table, its limits and its statistics."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, words


@words
def max_zero(facts: Facts) -> str:
    if not facts["write"]["0"]:
        return "refused"
    return "no limit" if facts["flows"]["0"] > facts["flows"]["1"] else "no room"
