"""Words for what a router takes a TCP connection's segments for."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, words


@words
def delayed_segment(facts: Facts) -> str:
    if facts["segment"] == "INVALID":
        return "INVALID"
    return "only an old ACK" if facts["old_ack"] == "INVALID" else "no"
