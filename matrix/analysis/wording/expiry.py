"""Words for how long entries live."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, words, yes_no


@words
def expired_evicted(facts: Facts) -> str:
    emptied = [way for way, left in facts["left"].items() if left == 0]
    return f"yes, by {', '.join(emptied)}" if emptied else "no"


@words
def expectation_expiry(facts: Facts) -> str:
    gone = not facts["listed"] and facts["related"] != "RELATED"
    return "one second" if gone else f"{facts['seconds']} s"


@words
def gc_latency(facts: Facts) -> str:
    within = "over 150 s" if facts["within"] == "longer" else facts["within"]
    return f"{within}, counted" if facts["counts"] else f"{within}, not counted"


@words
def udp_timeouts_assured(facts: Facts) -> str:
    return f"{facts['assured_at']}, {facts['stream_later']}"


@words
def one_way_udp_stale_dnat(facts: Facts) -> str:
    return yes_no(not facts["went"]["second"])


@words
def timewait_reuse(facts: Facts) -> str:
    client, server = (facts[side] == "NEW" for side in ("reopened", "by_server"))
    if client and server:
        return "from either side"
    return "only by the client" if client else "only by the server" if server else "no"


@words
def tcp_timeouts(facts: Facts) -> str:
    return f"{facts['ladder']['ack']} s established"


@words
def syn_retransmit_no_renew(facts: Facts) -> str:
    return yes_no(facts["renewed"])


@words
def generic_timeouts(facts: Facts) -> str:
    lifetimes = facts["lifetimes"]
    return f"UDP {lifetimes['udp']} s, other {lifetimes['experimental']} s"


@words
def ct_timeout_policy(facts: Facts) -> str:
    applies = {*facts["udp"], *facts["tcp"]} == {"policy"} and facts["other_port"] == "default"
    return f"yes, ends {facts['removed']}" if applies else "no"


@words
def ct_expectation_policy(facts: Facts) -> str:
    if facts["related"] != "RELATED":
        return "no"
    return "yes, often" if facts["second"] == "RELATED" else "yes, once"
