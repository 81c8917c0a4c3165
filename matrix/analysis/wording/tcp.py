"""Words for what a router takes a TCP connection's segments for."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, by_key, words, yes_no

_STEPS = ("SYN", "SYN+ACK", "ACK", "data")
_PICKED_UP = {"ack": "ACK", "synack": "SYN+ACK", "fin": "FIN", "rst": "RST"}


@words
def delayed_segment(facts: Facts) -> str:
    if facts["segment"] == "INVALID":
        return "INVALID"
    return "only an old ACK" if facts["old_ack"] == "INVALID" else "no"


@words
def window_overshoot(facts: Facts) -> str:
    if facts["beyond_100"] == "INVALID":
        return "yes"
    return "far beyond it only" if facts["beyond_100000"] == "INVALID" else "no"


@words
def max_retrans(facts: Facts) -> str:
    return "300 too" if facts["write_300"] == "ok" else f"up to {facts['read_back']}"


@words
def tcp_loose(facts: Facts) -> str:
    picked = [name for fact, name in _PICKED_UP.items() if facts[fact][0] != "INVALID"]
    answers = ["any answer"] if any(facts[fact][1] != "INVALID" for fact in _PICKED_UP) else []
    return ", ".join(picked + answers) or "none"


@words
def reuse_while_closing(facts: Facts) -> str:
    steps = by_key(facts["half_closed"])
    if steps["SYN"].startswith("NEW"):
        return "yes"
    return "after the server resets" if steps["SYN again"].startswith("NEW") else "no"


@words
def simultaneous_open(facts: Facts) -> str:
    return yes_no(facts["state"] == "ESTABLISHED" and facts["assured"] and "INVALID" not in facts["states"])


@words
def stale_synack(facts: Facts) -> str:
    spoilt = [step for step, state in zip(_STEPS, facts["rest"], strict=False) if state == "INVALID"]
    if spoilt:
        return f"yes, {spoilt[0]} INVALID"
    return "no, entry closed between" if facts["entry"] == "CLOSE" else "no"


@words
def window_scale_handshake(facts: Facts) -> str:
    server, client = ("INVALID" not in facts[way] for way in ("to_server", "to_client"))
    return yes_no(server) if server == client else "only to server" if server else "only to client"


@words
def synproxy_flood(facts: Facts) -> str:
    return yes_no(not (facts["forwarded"] or facts["flood_flows"] or facts["guesses"]))


@words
def synproxy_options(facts: Facts) -> str:
    if not (facts["answer_translated"] and facts["stamp_translated"]):
        return "not all translated"
    return "second stamp too" if facts["second_stamp_translated"] else "all but a second stamp"


@words
def asymmetric_return(facts: Facts) -> str:
    ack, later = by_key(facts["requests"])["ACK"], by_key([facts["later"]])["data"]
    return f"{ack.partition(',')[0]}, then {later.partition(',')[0]}"
