"""Words for protocols other than TCP."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, by_key, words, yes_no


@words
def dccp(facts: Facts) -> str:
    if "no ports" in facts["entries"][0]:
        return "without ports"
    return f"by ports, short {facts['truncated']}"


@words
def udplite(facts: Facts) -> str:
    return "without ports" if facts["entry"].startswith("no ports") else "by ports"


@words
def gre_generic(facts: Facts) -> str:
    return "no, one flow" if facts["flows"] == 1 else "yes"


@words
def unknown_protocol(facts: Facts) -> str:
    lost = any(answer.endswith("lost") for answer in by_key(facts["masqueraded"]).values())
    ports = all("no ports" in entry for entry in by_key(facts["entries"]).values())
    return f"{'no ports' if ports else 'ports'}, {'1 client NATed' if lost else 'all NATed'}"


@words
def nfqueue_clash(facts: Facts) -> str:
    lost = [protocol for protocol, out in facts["forwarded"].items() if out < 2]
    if not lost:
        return "both delivered"
    both = [protocol for protocol in facts["forwarded"] if protocol not in lost]
    return f"one lost: {' '.join(lost)}" if len(lost) <= len(both) else f"both only for {' '.join(both)}"


@words
def udp_clash(facts: Facts) -> str:
    return yes_no(facts["lost"] != "none")


@words
def udp_crossing_race(facts: Facts) -> str:
    return f"{facts['lost']} lost, {facts['rewritten']} rewritten"


@words
def udp_crossing(facts: Facts) -> str:
    clashes = facts["clash_resolve"]
    return f"{yes_no(facts['flows'] == 1)}{f', {clashes} clash resolved' if clashes else ''}"


@words
def sctp_states(facts: Facts) -> str:
    return by_key(facts["ladder"])["COOKIE ACK"].partition(", ")[2]


@words
def sctp_heartbeat(facts: Facts) -> str:
    return yes_no(facts["data"].startswith("ESTABLISHED") and facts["assured"])


@words
def sctp_init_collision(facts: Facts) -> str:
    if set(facts["rest"]) != {"ESTABLISHED"}:
        return "no"
    return "yes, old data INVALID" if "INVALID" in facts["old_data"] else "yes"


@words
def sctp_stale_init(facts: Facts) -> str:
    return yes_no("INVALID" in facts["old_data"])


@words
def sctp_crossing_init(facts: Facts) -> str:
    if set(facts["data"]) != {"ESTABLISHED"}:
        return "no"
    entry = by_key(facts["steps"])["late INIT ACK"].partition(", ")[2]
    return "yes, but stays CLOSED" if entry.startswith("CLOSED") else "yes"
