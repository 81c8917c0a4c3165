"""TCP windows: which segments are INVALID?"""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.router import Peer

_LIBERAL = "net/netfilter/nf_conntrack_tcp_be_liberal"
_UNACKNOWLEDGED = "net/netfilter/nf_conntrack_tcp_timeout_unacknowledged"
_RETRANS = "net/netfilter/nf_conntrack_tcp_max_retrans"


class DelayedSegment(Facts):
    """Facts of `delayed-segment`."""

    segment: Annotated[str, "conntrack state of the first segment, sent again after twenty were acknowledged"]
    half_ack: Annotated[str, "conntrack state of an ACK of the receiver's for half of what it acknowledged"]
    old_ack: Annotated[str, "conntrack state of an ACK of the receiver's for nothing of what it acknowledged"]
    state: Annotated[str, "the entry's TCP state afterwards"]


@experiment(variants={"family": FAMILIES})
def delayed_segment(lab: Lab) -> DelayedSegment:
    """Are a segment, and ACKs, that were delayed far behind the window INVALID?

    A receiver with a window of 1000 acknowledges twenty segments of 500 bytes one by one; then the
    first segment arrives once more. A firewall that drops INVALID drops it; one that rejects
    INVALID with a reset kills the connection. After 180 more segments two ACKs of the receiver's
    arrive that were as late: one acknowledges 50,000 bytes less than the last one, one 100,000.
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
    for _ in range(180):
        client.data(500)
        server.ack()
    return DelayedSegment(
        segment=segment,
        half_ack=server.ack(ack=(first + client.seq) // 2),
        old_ack=server.ack(ack=first),
        state=lab.state(client.endpoint),
    )


class WindowOvershoot(Facts):
    """Facts of `window-overshoot`."""

    inside: Annotated[str, "conntrack state of data that fills the announced window"]
    beyond_100: Annotated[str, "conntrack state of data that begins 100 bytes beyond it"]
    its_ack: Annotated[str, "conntrack state of the receiver's ACK for that"]
    beyond_100000: Annotated[str, "conntrack state of data 100000 bytes beyond it"]
    ack_beyond: Annotated[str, "conntrack state of the receiver's ACK for data it was never seen to be sent"]
    state: Annotated[str, "the entry's TCP state afterwards"]


@experiment(variants={"family": FAMILIES, "liberal": ("0", "1")})
def window_overshoot(lab: Lab) -> WindowOvershoot:
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
    return WindowOvershoot(
        inside=inside,
        beyond_100=client.data(100, seq=end + 100),
        its_ack=server.ack(ack=end + 200),
        beyond_100000=client.data(100, seq=end + 99_900),
        ack_beyond=server.ack(ack=end + 500_000),
        state=lab.state(client.endpoint),
    )


@window_overshoot.invariant("data inside the window is never INVALID")
def _(facts: WindowOvershoot) -> bool:
    return facts.inside == "ESTABLISHED"


@window_overshoot.invariant(
    "with tcp_be_liberal nothing but resets is INVALID for its window", when={"liberal": "1"}
)
def _(facts: WindowOvershoot) -> bool:
    return facts.beyond_100 == facts.beyond_100000 == "ESTABLISHED"


class MaxRetrans(Facts):
    """Facts of `max-retrans`."""

    write_255: Annotated[str, "what the kernel says to nf_conntrack_tcp_max_retrans = 255"]
    write_256: Annotated[str, "... = 256"]
    write_300: Annotated[str, "... = 300"]
    read_back: Annotated[str, "the value after these three"]
    before: Annotated[
        str, "which timeout the entry has after three identical segments, with max_retrans at 3"
    ]
    after: Annotated[str, "which timeout the entry has after six"]


@experiment(variants={"family": FAMILIES})
def max_retrans(lab: Lab) -> MaxRetrans:
    """Which values does tcp_max_retrans accept, and what does it do?

    The knob is written with 255, 256 and 300; then, at its default of 3, a client sends the same
    unacknowledged segment six times. Once the limit is reached the entry falls from five days to
    tcp_timeout_max_retrans, five minutes. The timeout for unacknowledged data, which is as short,
    is set to an hour to distinguish the two.
    """
    router = lab.router()
    lab.sysctl(_UNACKNOWLEDGED, 3600)
    written = [lab.try_sysctl(_RETRANS, value) for value in (255, 256, 300)]
    read_back = lab.read_sysctl(_RETRANS)
    lab.sysctl(_RETRANS, 3)
    client, _ = router.handshake()
    start = client.seq

    def after_three_segments() -> str:
        for _ in range(3):
            client.data(500, seq=start)
        return lab.flow(client.endpoint).lifetime

    return MaxRetrans(
        write_255=written[0],
        write_256=written[1],
        write_300=written[2],
        read_back=read_back,
        before=after_three_segments(),
        after=after_three_segments(),
    )


@max_retrans.invariant("255 is a value")
def _(facts: MaxRetrans) -> bool:
    return facts.write_255 == "ok"


_PICKUP = {"ack": "A", "synack": "SA", "fin": "FA", "rst": "R"}


class TcpLoose(Facts):
    """Facts of `tcp-loose`."""

    ack: Annotated[
        list[str], "conntrack states of the client's ACK and of the server's ACK with data after it"
    ]
    synack: Annotated[
        list[str], "conntrack states of the client's SYNACK and of the server's ACK with data after it"
    ]
    fin: Annotated[
        list[str], "conntrack states of the client's FIN and of the server's ACK with data after it"
    ]
    rst: Annotated[
        list[str], "conntrack states of the client's RST and of the server's ACK with data after it"
    ]
    entries: Annotated[
        list[str],
        "per segment, after it and after the server's: who made an entry (client, server, none), its TCP"
        " state, timeout and assurance",
    ]


@experiment(variants={"family": FAMILIES, "loose": ("0", "1")})
def tcp_loose(lab: Lab) -> TcpLoose:
    """Which segments pick up a connection that began before the router knew it?

    After a restart of the router or a flush of the table the first thing seen of a connection is
    not a SYN. `loose` is nf_conntrack_tcp_loose. Four connections, of each of which the client's
    first segment is an ACK, a SYN+ACK, a FIN+ACK or a RST; then the server sends an ACK with data.
    """
    router = lab.router()
    lab.sysctl(sysctls.TCP_LOOSE, lab.variant["loose"])
    states: dict[str, list[str]] = {}
    entries = []

    def entry(client: Peer, server: Peer) -> str:
        for name, one, other in (("client", client, server), ("server", server, client)):
            if flow := lab.flow(one.endpoint, other.endpoint):
                return f"{name} {flow.state} {flow.lifetime}{' assured' if flow.assured else ''}"
        return "none"

    for port, (name, flags) in enumerate(_PICKUP.items(), start=40000):
        client, server = router.tcp(port)
        first, after_first = client.send(flags), entry(client, server)
        states[name] = [first, server.data(100)]
        entries += [f"{name}: {after_first}", f"{name}, answered: {entry(client, server)}"]
    return TcpLoose(**states, entries=entries)


@tcp_loose.invariant("without tcp_loose nothing but a SYN makes an entry", when={"loose": "0"})
def _(facts: TcpLoose) -> bool:
    return all(states == ["INVALID", "INVALID"] for states in (facts.ack, facts.synack, facts.fin, facts.rst))
