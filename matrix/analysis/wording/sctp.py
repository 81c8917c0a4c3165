"""Words for SCTP."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, words, yes_no


@words
def sctp_stale_init(facts: Facts) -> str:
    return yes_no("INVALID" in facts["old_data"])
