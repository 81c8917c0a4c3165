"""How a TCP entry begins: unusual handshakes."""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.lab.lab import Lab
from guest.lab.router import Peer


class SimultaneousOpen(Facts):
    """Facts of `simultaneous-open`."""

    states: Annotated[list[str], "conntrack state of the two SYNs, the two SYN+ACKs, and data each way"]
    between: Annotated[str, "the entry's TCP state after the two SYNs"]
    state: Annotated[str, "the entry's TCP state at the end"]
    assured: Annotated[bool, "whether the entry is assured at the end"]


@experiment(variants={"family": FAMILIES})
def simultaneous_open(lab: Lab) -> SimultaneousOpen:
    """Does a simultaneous open (both sides send a SYN) make one good entry?

    RFC 9293, figure 8: two SYNs cross, each is answered with a SYN+ACK. Peers that punch holes
    through NAT connect this way.
    """
    router = lab.router()
    client, server = router.tcp()
    states = [client.syn(), server.syn()]
    between = lab.state(client.endpoint)
    # Each SYN+ACK repeats the sequence number of its sender's SYN.
    states += [
        client.synack(seq=client.seq - 1),
        server.synack(seq=server.seq - 1),
        client.data(100),
        server.data(100),
    ]
    flow = lab.flow(client.endpoint)
    return SimultaneousOpen(states=states, between=between, state=flow.state, assured=flow.assured)


@simultaneous_open.invariant("a simultaneous open establishes without an INVALID segment")
def _(facts: SimultaneousOpen) -> bool:
    return facts.state == "ESTABLISHED" and "INVALID" not in facts.states


class StaleSynack(Facts):
    """Facts of `stale-synack`."""

    stale: Annotated[str, "conntrack state of a SYN+ACK that acknowledges another SYN"]
    reset: Annotated[str, "conntrack state of the client's reset that answers it"]
    entry: Annotated[str, "the entry's TCP state after that reset"]
    rest: Annotated[list[str], "conntrack state of the SYN sent again, the right SYN+ACK, ACK and data"]
    state: Annotated[str, "the entry's TCP state at the end"]


@experiment(variants={"stale": ("near", "far-below", "far-above", "ahead")})
def stale_synack(lab: Lab) -> StaleSynack:
    """Does an old SYN+ACK, and the client's reset of it, spoil a handshake?

    The client's SYN is answered by a SYN+ACK that acknowledges a SYN of long ago (an old duplicate,
    or a server that still has the former connection). By RFC 9293 the client resets that, and sends
    its own SYN again, which then is answered properly. The acknowledged number is 50 000 before the
    client's SYN (near), or 200 000 (far), and the stale SYN+ACK's sequence number is below or above
    that of the proper one. Real stacks draw both at random, so that far, below and above, is what
    happens. `ahead` acknowledges 50 000 more than the client has sent.
    """
    router = lab.router()
    client, server = router.tcp(seq=300_000, server_seq=500_000)
    stale = {"near": 250_001, "ahead": 350_001}.get(lab.variant["stale"], 100_001)
    client.syn()
    # Arguments are taken in their order, each after the packet of the one before it.
    return StaleSynack(
        stale=server.synack(seq=5000 if lab.variant["stale"] == "far-below" else 900_000, ack=stale),
        reset=client.rst(seq=stale),
        entry=lab.state(client.endpoint),
        rest=[client.syn(seq=300_000), server.synack(), client.ack(), client.data(100)],
        state=lab.state(client.endpoint),
    )


class WindowScaleHandshake(Facts):
    """Facts of `window-scale-handshake`."""

    handshake: Annotated[list[str], "conntrack state of every segment of the handshake, in their order"]
    to_server: Annotated[
        str,
        "conntrack state of 70 000 bytes in flight from the client; both where it differs between segments",
    ]
    to_client: Annotated[str, "the same for 70 000 bytes in flight from the server"]
    state: Annotated[str, "the entry's TCP state at the end"]


@experiment(variants={"handshake": ("plain", "SYN-again", "SYN-again-unscaled", "new-SYN", "early-data")})
def window_scale_handshake(lab: Lab) -> WindowScaleHandshake:
    """Does the router remember the window scales of an unusual handshake?

    Both sides offer a scale of 7, so that their windows are 64240 << 7. The client's SYN is sent
    again (the same, without a scale, or with a new sequence number), or the server sends data
    before the client's ACK, as with TCP Fast Open. Then either side has 70 000 bytes in flight,
    which is more than an unscaled window. Where the router lost a scale such data is INVALID and
    fast transfers stall.
    """
    router = lab.router()
    scale = [("WScale", 7), ("SAckOK", b"")]
    client, server = router.tcp()
    variant = lab.variant["handshake"]
    states = [client.syn(options=scale)]
    if variant == "new-SYN":
        client.seq = 500_000
        states.append(client.syn(options=scale))
    elif variant.startswith("SYN-again"):
        states.append(client.syn(seq=1000, options=scale if variant == "SYN-again" else [("MSS", 1460)]))
    states.append(server.synack(options=scale))
    if variant == "early-data":
        states.append(server.data(100, options=[("NOP", None), ("NOP", None), ("Timestamp", (1, 1))]))
    # Windows in segments with SYN are not scaled: the real ones are only in later ACKs.
    states += [client.ack(), client.data(100), server.data(100), client.ack()]

    def in_flight(sender: Peer, receiver: Peer) -> str:
        found = "/".join(sorted({sender.data(1400) for _ in range(50)}))
        receiver.ack()
        return found

    return WindowScaleHandshake(
        handshake=states,
        to_server=in_flight(client, server),
        to_client=in_flight(server, client),
        state=lab.state(client.endpoint),
    )


@window_scale_handshake.invariant(
    "after a plain handshake data within the scaled window is never INVALID", when={"handshake": "plain"}
)
def _(facts: WindowScaleHandshake) -> bool:
    return facts.to_server == facts.to_client == "ESTABLISHED"
