"""TCP resets: which of them end an entry?"""

from __future__ import annotations

from guest.catalogue import FAMILIES, FRONTENDS, Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import parse

_CLOSE = "net/netfilter/nf_conntrack_tcp_timeout_close"
_ESTABLISHED = "net/netfilter/nf_conntrack_tcp_timeout_established"
_IGNORE = "net/netfilter/nf_conntrack_tcp_ignore_invalid_rst"
_STATE = Fact("state", str, "the entry's TCP state afterwards, or gone")
_LIFETIME = Fact("lifetime", str, "which of the usual timeouts the entry is left with")


def _after(lab: Lab, source: str) -> FactDict:
    flow = lab.flow(source)
    return {"state": flow.state, "lifetime": flow.lifetime}


@experiment(
    facts=[
        Fact("syn", str, "conntrack state of the SYN as it is forwarded"),
        Fact("rst", str, "conntrack state of the reset as it is forwarded"),
        Fact("next_data", str, "conntrack state of the server's next data"),
        _STATE,
        _LIFETIME,
    ],
    variants={"family": FAMILIES},
)
def syn_then_bogus_rst(lab: Lab) -> FactDict:
    """Can a blind attacker's SYN and RST from one side end an established connection's entry?

    An established connection through a router, 100 bytes acknowledged. Then, from the client's
    address, a SYN with sequence number 777000 and a RST with sequence number 123456789 that
    acknowledges 777001: neither is in any window, but the RST seems to answer the SYN. What an
    attacker who knows the ports but no sequence number can send.
    """
    router = lab.router()
    client, server = router.handshake()
    client.data(100)
    server.ack()
    syn = client.syn(seq=777000)
    rst = client.rst(seq=123456789, ack=777001)
    facts = _after(lab, client.endpoint)
    return facts | {"syn": syn, "rst": rst, "next_data": server.data(100)}


@experiment(
    facts=[
        Fact("rst", str, "conntrack state of the reset as it is forwarded"),
        _STATE,
        _LIFETIME,
        Fact("short_lifetime", str, "the same of a connection that had a minute left"),
    ],
    variants={"family": FAMILIES, "offset": ("exact", "inside", "outside")},
    invariants=[
        Invariant(
            "a reset with the exact sequence number closes the entry",
            lambda facts, variant: (
                variant["offset"] != "exact" or (facts["rst"] == "ESTABLISHED" and facts["state"] == "CLOSE")
            ),
        ),
        Invariant(
            "a reset outside the window does not close the entry",
            lambda facts, variant: variant["offset"] != "outside" or facts["state"] == "ESTABLISHED",
        ),
    ],
)
def inwindow_rst(lab: Lab) -> FactDict:
    """Does a reset inside the window, but not at the exact sequence number, close the entry?

    An established connection through a router, data acknowledged both ways. The server sends a RST
    at its exact next sequence number, 500 beyond it (inside the window of 64240), or a million
    beyond it. RFC 5961 has the receiver answer the second with a challenge ACK: the connection
    remains open, and if the router has closed its entry it is cut ten seconds later. The same with
    nf_conntrack_tcp_timeout_established at 60 s: a reset should not give an entry more time than it
    had.
    """
    router = lab.router()
    offset = {"exact": 0, "inside": 500, "outside": 1_000_000}[lab.variant["offset"]]

    def reset(port: int) -> tuple[str, FactDict]:
        client, server = router.handshake(port)
        client.data(100)
        server.data(100)
        client.ack()
        return server.rst(seq=server.seq + offset), _after(lab, client.endpoint)

    rst, after = reset(40000)
    lab.sysctl(_ESTABLISHED, 60)
    _, short = reset(40001)
    return after | {"rst": rst, "short_lifetime": short["lifetime"]}


@experiment(
    facts=[
        Fact("challenge", str, "conntrack state of the challenge ACK that the receiver answers"),
        Fact("rst", str, "conntrack state of the exact reset that follows it"),
        _STATE,
    ],
    variants={"family": FAMILIES},
)
def challenge_ack(lab: Lab) -> FactDict:
    """Does the exact reset that follows a challenge ACK close the entry?

    RFC 5961: a reset inside the window but not exact (here 500 beyond) is answered with a challenge
    ACK, upon which an honest sender that has no such connection resets exactly at the acknowledged
    number.
    """
    router = lab.router()
    client, server = router.handshake()
    client.data(100)
    server.ack()
    server.rst(seq=server.seq + 500)
    challenge = client.ack()
    rst = server.rst(seq=server.seq)
    return {"challenge": challenge, "rst": rst, "state": lab.state(client.endpoint)}


@experiment(
    facts=[
        Fact("first", str, "conntrack state of the exact reset"),
        Fact("second", str, "conntrack state of the same reset, sent again two seconds later"),
        Fact("spurious", str, "conntrack state of a reset far outside the window after that"),
        Fact("refreshed", bool, "whether the second reset set the entry's timeout back to its beginning"),
        Fact("spurious_refreshed", bool, "whether the reset outside the window did"),
        _STATE,
    ],
    invariants=[
        Invariant("the exact reset closes the entry", lambda facts, variant: facts["state"] == "CLOSE")
    ],
    variants={"family": FAMILIES},
)
def rst_after_close(lab: Lab) -> FactDict:
    """Do further resets keep a closed entry alive?

    An established connection is reset exactly, and the same reset comes again two seconds later,
    then one outside the window two seconds after that. The timeout of CLOSE is set to 100 s, so
    that a refresh shows.
    """
    router = lab.router()
    lab.sysctl(_CLOSE, 100)
    client, server = router.handshake()
    facts: FactDict = {"first": server.rst()}

    def left() -> int:
        return lab.flow(client.endpoint).timeout

    lab.until("the entry to be two seconds old", lambda: left() <= 98, 10)
    facts |= {"second": server.rst(), "refreshed": left() > 98}
    lab.until("the entry to be two seconds older", lambda: left() <= (98 if facts["refreshed"] else 96), 10)
    before = left()
    facts |= {"spurious": server.rst(seq=123456789), "spurious_refreshed": left() > before}
    return facts | {"state": lab.state(client.endpoint)}


@experiment(
    facts=[
        Fact("syn", str, "conntrack state of the SYN as it is forwarded"),
        Fact("rst", str, "conntrack state of the server's reset as it is forwarded"),
        _STATE,
        _LIFETIME,
        Fact(
            "high",
            list,
            "conntrack state of a reset, on another such connection, whose sequence number is a million above"
            " what the server may send, and the entry's state and timeout after it",
        ),
    ],
    variants={"family": FAMILIES, "entry": ("established", "closing")},
)
def rst_for_ignored_syn(lab: Lab) -> FactDict:
    """Does a server's reset that answers a SYN the router did not take over end the entry?

    On an entry (established, or with both FINs seen but the last ACK missing) the client sends a
    SYN with a new sequence number; the server answers it with RST+ACK acknowledging that SYN, as a
    server does that has forgotten the connection: with sequence number 0. On a second connection
    the same, with a sequence number a million above what the server may send.
    """
    router = lab.router()

    def answered(port: int, above: int | None) -> tuple[str, str, FactDict]:
        client, server = router.handshake(port)
        client.data(100)
        server.ack()
        if lab.variant["entry"] == "closing":
            client.fin()
            server.fin()
        syn = client.syn(seq=777000)
        rst = server.send("RA", seq=0 if above is None else server.seq + above, ack=777001)
        return syn, rst, _after(lab, client.endpoint)

    syn, rst, after = answered(40000, None)
    _, high, after_high = answered(40001, 1_000_000)
    return after | {"syn": syn, "rst": rst, "high": [high, *after_high.values()]}


@experiment(
    facts=[
        Fact("knob", str, "ok if nf_conntrack_tcp_ignore_invalid_rst can be set, or the errno"),
        Fact(
            "old",
            dict,
            "per value of the knob: 1 if a reset older than what was acknowledged is INVALID, else 0",
        ),
        Fact("beyond", dict, "per value of the knob: 1 if a reset far beyond the window is INVALID, else 0"),
        Fact(
            "entries", list, "the entry's state and timeout after these resets, the knob at 0 and then at 1"
        ),
    ],
    invariants=[
        Invariant(
            "no such reset closes the entry",
            lambda facts, variant: all(entry.startswith("ESTABLISHED ") for entry in facts["entries"]),
        )
    ],
    variants={"family": FAMILIES},
)
def ignore_invalid_rst(lab: Lab) -> FactDict:
    """Is there a knob that lets resets outside the window pass without being INVALID, and what does
    it do?

    An established connection for each value of the knob (for 0 alone where there is none), 1000
    bytes of the server's acknowledged. The server then sends a RST 500 bytes before the
    acknowledged number, and one a million beyond it.
    """
    router = lab.router()
    facts: FactDict = {"knob": "", "old": {}, "beyond": {}, "entries": []}
    for value in ("0", "1"):
        facts["knob"] = lab.try_sysctl(_IGNORE, value)
        if facts["knob"] != "ok" and value == "1":
            break
        client, server = router.handshake(40000 + int(value))
        server.data(1000)
        client.ack()
        facts["old"][value] = int(server.rst(seq=server.seq - 500) == "INVALID")
        facts["beyond"][value] = int(server.rst(seq=server.seq + 1_000_000) == "INVALID")
        facts["entries"].append(" ".join(_after(lab, client.endpoint).values()))
    return facts


@experiment(
    facts=[
        Fact("answers", list, "TCP flags of what the kernel sent back to the client"),
        Fact("forwarded", str, "conntrack state of the rejected segment if it was forwarded, else lost"),
        _STATE,
        _LIFETIME,
    ],
    variants={"family": FAMILIES, "frontend": FRONTENDS},
    modules=("nft_reject_ipv4", "ipt_REJECT"),
)
def reject_reset(lab: Lab) -> FactDict:
    """Does rejecting with a TCP reset also end the entry of an established connection?

    An established connection, 100 bytes acknowledged; then a rule is inserted that rejects with
    tcp-reset, and the client sends one more segment. If the entry stays established, it expires
    after five days.
    """
    router = lab.router()
    client, server = router.handshake()
    client.data(100)
    server.ack()
    if lab.frontend == "native":
        lab.chain("forward filter", "tcp dport 80 reject with tcp reset")
    else:
        lab.iptables("*filter\n-A FORWARD -p tcp --dport 80 -j REJECT --reject-with tcp-reset")
    forwarded = client.data(100)
    flags = [str(parse(data)["TCP"].flags) for data in router.back]
    return _after(lab, client.endpoint) | {"answers": flags, "forwarded": forwarded}


@experiment(
    facts=[
        Fact(
            "one_side",
            list,
            "conntrack state of the client's segment far outside the window, and the entry's state and"
            " timeout after it",
        ),
        Fact("both_sides", list, "the same once the server has sent such a segment too"),
        Fact("next_data", str, "conntrack state of the client's next data"),
        Fact("revived", str, "the entry's timeout after that was acknowledged"),
    ],
    variants={"family": FAMILIES, "segment": ("fin", "rst", "ack")},
    invariants=[
        Invariant(
            "data of the connection still passes", lambda facts, variant: facts["next_data"] == "ESTABLISHED"
        )
    ],
)
def out_of_window_end(lab: Lab) -> FactDict:
    """Does an entry remain for days when both sides ended the connection with segments that the
    router found INVALID?

    An established connection, data acknowledged. The client sends a FIN+ACK, a RST or (for
    comparison) a bare ACK a million beyond its window, then the server does. A router that missed
    packets in between sees the real end of a connection like this; an entry that stays as it was
    holds its place for five days.
    """
    router = lab.router()
    client, server = router.handshake()
    client.data(100)
    server.ack()
    flags = {"fin": "FA", "rst": "R", "ack": "A"}[lab.variant["segment"]]
    facts: FactDict = {}
    for name, peer in (("one_side", client), ("both_sides", server)):
        state = peer.send(flags, seq=peer.seq + 1_000_000)
        after = _after(lab, client.endpoint)
        facts[name] = [state, f"{after['state']} {after['lifetime']}"]
    facts["next_data"] = client.data(100)
    server.ack()
    return facts | {"revived": str(_after(lab, client.endpoint)["lifetime"])}
