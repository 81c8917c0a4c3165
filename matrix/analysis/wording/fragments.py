"""Words for fragments and datagrams that are too big."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, by_key, words, yes_no

_LOST = {"none": "all lost", "some": "some lost", "all": "none lost"}


@words
def big_datagram(facts: Facts) -> str:
    whole = [name.partition(" ")[2] for name, pieces in facts["pieces"].items() if not pieces]
    return f"not: {', '.join(whole)}" if whole else "yes"


@words
def fragment_limits(facts: Facts) -> str:
    lost = _LOST[by_key(facts["forwarded"])["limited"]]
    return f"{lost}, ReasmFails" if "ReasmFails" in facts["counters"] else f"{lost}, not counted"


@words
def fragments(facts: Facts) -> str:
    return f"{facts['before']} in, {facts['after']} seen, {facts['in_order']} out"


@words
def defrag_sticky(facts: Facts) -> str:
    return yes_no(facts["after"] == "forwarded")


@words
def fragments_two_links(facts: Facts) -> str:
    return yes_no(facts["two_links"])
