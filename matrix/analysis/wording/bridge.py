"""Words for bridges."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, by_key, words, yes_no


@words
def bridge_conntrack(facts: Facts) -> str:
    if facts["plain"]:
        return "yes"
    if facts["counted"]:
        return "with any rule"
    return "only for ct state" if facts["with_state"] else "no"


@words
def br_netfilter(facts: Facts) -> str:
    if not facts["forward_on"]:
        return "no"
    if facts["settable"] != "ok":
        return "yes, not settable"
    return "yes, unless switched off" if facts["default"] == "1" else "only if switched on"


@words
def reject_icmp_error(facts: Facts) -> str:
    match facts["answered"]["error"], facts["answered"]["error6"]:
        case 1, 1:
            return "yes"
        case 0, 0:
            return "no"
        case ipv4, _:
            return "only over IPv4" if ipv4 else "only over IPv6"


@words
def bridge_fragments(facts: Facts) -> str:
    left = {tuple(key.split(", ", 1)): sizes for key, sizes in by_key(facts["left"]).items()}
    # In another order they come out in theirs.
    changed = [
        case for (by, case), sizes in left.items() if sizes != left["nothing", case] and case != "reversed"
    ]
    return yes_no(not changed and not facts["damaged"] and not facts["untagged"])


@words
def reject_odd_packets(facts: Facts) -> str:
    answered = facts["answered"]
    errors = sum(" error, " in name for name in answered)
    return f"{len(answered)} of {len(answered + facts['silent'])}, {errors} errors"
