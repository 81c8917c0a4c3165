"""TCP windows: which segments are INVALID?"""

from __future__ import annotations

from guest.catalogue import FAMILIES, Fact, FactDict, Invariant, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab

_LIBERAL = "net/netfilter/nf_conntrack_tcp_be_liberal"
_UNACKNOWLEDGED = "net/netfilter/nf_conntrack_tcp_timeout_unacknowledged"
_RETRANS = "net/netfilter/nf_conntrack_tcp_max_retrans"


@experiment(
    facts=[
        Fact(
            "segment", str, "conntrack state of the first segment, sent again after twenty were acknowledged"
        ),
        Fact("its_ack", str, "conntrack state of the receiver's answer to it"),
        Fact("state", str, "the entry's TCP state afterwards"),
    ],
    variants={"family": FAMILIES},
)
def delayed_segment(lab: Lab) -> FactDict:
    """Is a segment that was delayed far behind the window INVALID?

    A receiver with a window of 1000 acknowledges twenty segments of 500 bytes one by one; then the
    first segment arrives once more, and is answered with a duplicate ACK. A firewall that drops
    INVALID drops it; one that rejects INVALID with a reset kills the connection.
    """
    router = lab.router()
    client, server = router.tcp()
    server.window = 1000
    client.syn()
    server.synack()
    client.ack()
    first = client.seq
    for _ in range(20):
        client.data(500)
        server.ack()
    segment = client.data(500, seq=first)
    return {"segment": segment, "its_ack": server.ack(), "state": lab.state(client.endpoint)}


@experiment(
    facts=[
        Fact("inside", str, "conntrack state of data that fills the announced window"),
        Fact("beyond_100", str, "conntrack state of data that begins 100 bytes beyond it"),
        Fact("its_ack", str, "conntrack state of the receiver's ACK for that"),
        Fact("beyond_100000", str, "conntrack state of data 100000 bytes beyond it"),
        Fact(
            "ack_beyond", str, "conntrack state of the receiver's ACK for data it was never seen to be sent"
        ),
        Fact("state", str, "the entry's TCP state afterwards"),
    ],
    variants={"family": FAMILIES, "liberal": ("0", "1")},
    invariants=[
        Invariant(
            "data inside the window is never INVALID", lambda facts, variant: facts["inside"] == "ESTABLISHED"
        ),
        Invariant(
            "with tcp_be_liberal nothing but resets is INVALID for its window",
            lambda facts, variant: (
                variant["liberal"] == "0" or facts["beyond_100"] == facts["beyond_100000"] == "ESTABLISHED"
            ),
        ),
    ],
)
def window_overshoot(lab: Lab) -> FactDict:
    """Is data beyond the announced window INVALID?

    The receiver announced 4000 bytes. The sender fills them, then sends 100 bytes that begin 100
    bytes beyond the window, then 100 bytes far beyond it; each without the receiver acknowledging.
    `liberal` is nf_conntrack_tcp_be_liberal.
    """
    router = lab.router()
    lab.sysctl(_LIBERAL, lab.variant["liberal"])
    client, server = router.tcp()
    server.window = 4000
    client.syn()
    server.synack()
    client.ack()
    inside = [client.data(1000) for _ in range(4)][-1]
    end = client.seq
    return {
        "inside": inside,
        "beyond_100": client.data(100, seq=end + 100),
        "its_ack": server.ack(ack=end + 200),
        "beyond_100000": client.data(100, seq=end + 99_900),
        "ack_beyond": server.ack(ack=end + 500_000),
        "state": lab.state(client.endpoint),
    }


@experiment(
    facts=[
        Fact("write_255", str, "what the kernel says to nf_conntrack_tcp_max_retrans = 255"),
        Fact("write_256", str, "... = 256"),
        Fact("write_300", str, "... = 300"),
        Fact("read_back", str, "the value after these three"),
        Fact(
            "before", str, "which timeout the entry has after three identical segments, with max_retrans at 3"
        ),
        Fact("after", str, "which timeout the entry has after six"),
    ],
    invariants=[Invariant("255 is a value", lambda facts, variant: facts["write_255"] == "ok")],
    variants={"family": FAMILIES},
)
def max_retrans(lab: Lab) -> FactDict:
    """Which values does tcp_max_retrans take, and what does it do?

    The knob is written with 255, 256 and 300; then, at its default of 3, a client sends the same
    unacknowledged segment six times. Once the limit is reached the entry falls from five days to
    tcp_timeout_max_retrans, five minutes. The timeout for unacknowledged data, which is as short,
    is set to an hour to tell the two apart.
    """
    router = lab.router()
    lab.sysctl(_UNACKNOWLEDGED, 3600)
    facts: FactDict = {f"write_{value}": lab.try_sysctl(_RETRANS, value) for value in (255, 256, 300)}
    facts["read_back"] = lab.read_sysctl(_RETRANS)
    lab.sysctl(_RETRANS, 3)
    client, _ = router.handshake()
    start = client.seq

    def lifetime() -> str:
        return lab.flow(client.endpoint).lifetime

    for _ in range(3):
        client.data(500, seq=start)
    facts["before"] = lifetime()
    for _ in range(3):
        client.data(500, seq=start)
    return facts | {"after": lifetime()}


_PICKUP = {"ack": "A", "synack": "SA", "fin": "FA", "rst": "R"}


@experiment(
    facts=[
        *(
            Fact(
                name,
                list,
                f"conntrack states of the client's {name.upper()} and of the server's ACK with data after it",
            )
            for name in _PICKUP
        ),
        Fact("entries", list, "per segment: who made an entry (client, server, none) and its TCP state"),
    ],
    variants={"family": FAMILIES, "loose": ("0", "1")},
    invariants=[
        Invariant(
            "without tcp_loose nothing but a SYN makes an entry",
            lambda facts, variant: (
                variant["loose"] == "1" or all(facts[name] == ["INVALID", "INVALID"] for name in _PICKUP)
            ),
        )
    ],
)
def tcp_loose(lab: Lab) -> FactDict:
    """Which segments pick up a connection that began before the router knew it?

    After a restart of the router or a flush of the table the first thing seen of a connection is
    not a SYN. `loose` is nf_conntrack_tcp_loose. Four connections, of each of which the client's
    first segment is an ACK, a SYN+ACK, a FIN+ACK or a RST; then the server sends an ACK with data.
    """
    router = lab.router()
    lab.sysctl(sysctls.TCP_LOOSE, lab.variant["loose"])
    facts: FactDict = {"entries": []}
    for port, (name, flags) in enumerate(_PICKUP.items(), start=40000):
        client, server = router.tcp(port)
        facts[name] = [client.send(flags), server.data(100)]
        mine, theirs = lab.flow(client.endpoint), lab.flow(server.endpoint, client.endpoint)
        maker = f"client {mine.state}" if mine else f"server {theirs.state}" if theirs else "none"
        facts["entries"].append(f"{name}: {maker}")
    return facts
