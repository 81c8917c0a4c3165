"""Words for ICMP and ICMPv6."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, by_key, words


def _related(facts: Facts) -> str:
    related, others = len(facts["related"]), len(facts["not_related"])
    return f"{related} of {related + others} kinds"


@words
def icmp_errors(facts: Facts) -> str:
    return _related(facts)


@words
def icmpv6_errors(facts: Facts) -> str:
    return _related(facts)


@words
def icmp_error_through_nat(facts: Facts) -> str:
    outer, inner = facts["outer"] == "client", facts["inner"] == "client"
    if outer and inner:
        return "yes, both" if facts["inner_checksum"] else "both, wrong checksum"
    return "only outside" if outer else "only inside" if inner else "no"


@words
def icmpv6_untracked(facts: Facts) -> str:
    return f"{len(facts['untracked'])} types"


@words
def icmp_echo(facts: Facts) -> str:
    return f"{facts['request']}, {facts['replies'][0]}"


@words
def icmpv6_redirect(facts: Facts) -> str:
    state = by_key(facts["states"])["of the flow"]
    return "yes" if state == "RELATED" else f"no, {state}"
