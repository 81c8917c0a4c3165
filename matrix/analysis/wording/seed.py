"""Words for the seed: the four counts are SYNs, flows, and packets before and after tracking."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, words


def _counts(facts: Facts) -> str:
    names = ("packets", "flows", "raw_packets", "mangle_packets")
    return " ".join(str(facts[name]) for name in names)


@words
def baseline(facts: Facts) -> str:
    return _counts(facts)


@words
def table_full(facts: Facts) -> str:
    log = ", logs netns" if any("in netns" in line for line in facts["dmesg"]) else ""
    return f"{_counts(facts)}{log}"


@words
def syn_flood_listener(facts: Facts) -> str:
    return f"{facts['flows']} flows, {facts['cookies']} cookies"
