"""Words for packets that are INVALID."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, words


@words
def bad_checksum(facts: Facts) -> str:
    if "INVALID" not in facts["checked"]:
        return "no"
    return "yes" if "INVALID" in facts["unchecked"] else "yes, unless switched off"


@words
def bad_flags(facts: Facts) -> str:
    invalid, new = len(facts["invalid"]), len(facts["new"])
    return f"{invalid} of {invalid + new} flag sets"


@words
def log_invalid(facts: Facts) -> str:
    if facts["alone"]:
        return "yes"
    return f"no, needs {facts['module']}" if facts["loaded"] else "no"
