"""Words for what address translation does."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, by_key, words

_PORTS = {"all": "all ports", "first": "first port only"}


@words
def dnat_port_range(facts: Facts) -> str:
    spread = by_key(facts["spread"])["none"]
    return _PORTS.get(spread, spread)
