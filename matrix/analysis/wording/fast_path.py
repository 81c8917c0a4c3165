"""Words for the fast path of flowtables, and for chains of a device."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, by_key, words

_CUTS = {
    "entry deleted": "entry",
    "drop rule": "drop rule",
    "no flow add": "flow rule",
    "no flowtable": "flowtable",
}


@words
def flowtable_counters(facts: Facts) -> str:
    if facts["flag"] != "ok":
        return "no such flag"
    counted = set(facts["counted"].values())
    return "yes" if counted == {10} else "some" if any(counted) else "no"


@words
def flowtable_cut(facts: Facts) -> str:
    entry = by_key(facts["entry"])
    cuts = [name for attempt, name in _CUTS.items() if entry[attempt] != "fast"]
    return f"{', '.join(cuts)} gone" if cuts else "no"


@words
def flowtable_tcp(facts: Facts) -> str:
    if not facts["offloaded"]:
        return "never on it"
    return f"{'later' if facts['at_end'] == 'offloaded' else 'end'}: {facts['entry']}"


@words
def flowtable_idle(facts: Facts) -> str:
    lifetime = " ".join(facts["idle"].split()[-2:])
    return f"{lifetime}, comes back" if facts["back"] == "fast path" else lifetime


@words
def hooks_by_name(facts: Facts) -> str:
    chain = facts["after_removal"][0]
    if facts["dropped_again"]:
        return "yes, and wait for it" if facts["late"] == "drops" else "yes"
    if chain == "chain gone":
        return "no, chain deleted"
    return "no, chain without device" if chain == "chain of no device" else "no"
