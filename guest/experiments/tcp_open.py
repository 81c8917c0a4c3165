"""How a TCP entry begins: handshakes that do not go by the book."""

from __future__ import annotations

from guest.catalogue import FAMILIES, Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab


@experiment(
    facts=[
        Fact("states", list, "conntrack state of the two SYNs, the two SYN+ACKs, and data each way"),
        Fact("between", str, "the entry's TCP state after the two SYNs"),
        Fact("state", str, "the entry's TCP state at the end"),
        Fact("assured", bool, "whether the entry is assured at the end"),
    ],
    invariants=[
        Invariant(
            "a simultaneous open establishes without an INVALID segment",
            lambda facts, variant: facts["state"] == "ESTABLISHED" and "INVALID" not in facts["states"],
        )
    ],
    variants={"family": FAMILIES},
)
def simultaneous_open(lab: Lab) -> FactDict:
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
    return {
        "states": states,
        "between": between,
        "state": flow.state,
        "assured": flow.assured,
    }


@experiment(
    facts=[
        Fact("stale", str, "conntrack state of a SYN+ACK that acknowledges another SYN"),
        Fact("reset", str, "conntrack state of the client's reset that answers it"),
        Fact("entry", str, "the entry's TCP state after that reset"),
        Fact("rest", list, "conntrack state of the SYN sent again, the right SYN+ACK, ACK and data"),
        Fact("state", str, "the entry's TCP state at the end"),
    ],
    variants={"stale": ("near", "far-below", "far-above")},
)
def stale_synack(lab: Lab) -> FactDict:
    """Does an old SYN+ACK, and the client's reset of it, spoil a handshake?

    The client's SYN is answered by a SYN+ACK that acknowledges a SYN of long ago (an old duplicate,
    or a server that still has the former connection). By RFC 9293 the client resets that, and sends
    its own SYN again, which then is answered properly. What is acknowledged lies 50 000 behind the
    client's SYN (near), or 200 000 (far), and the stale SYN+ACK's own sequence number below or
    above that of the proper one: both are drawn at random, so that far, below and above, is what
    happens.
    """
    router = lab.router()
    client, server = router.tcp(seq=300_000, server_seq=500_000)
    stale = 250_001 if lab.variant["stale"] == "near" else 100_001
    client.syn()
    facts: FactDict = {
        "stale": server.synack(seq=5000 if lab.variant["stale"] == "far-below" else 900_000, ack=stale)
    }
    facts |= {"reset": client.rst(seq=stale), "entry": lab.state(client.endpoint)}
    facts["rest"] = [client.syn(seq=300_000), server.synack(), client.ack(), client.data(100)]
    return facts | {"state": lab.state(client.endpoint)}


@experiment(
    facts=[
        Fact("handshake", list, "conntrack state of every segment of the handshake, in their order"),
        Fact(
            "to_server",
            str,
            "conntrack state of 70 000 bytes in flight from the client; both where it differs between"
            " segments",
        ),
        Fact("to_client", str, "the same for 70 000 bytes in flight from the server"),
        Fact("state", str, "the entry's TCP state at the end"),
    ],
    variants={"handshake": ("plain", "SYN-again", "SYN-again-unscaled", "new-SYN", "early-data")},
    invariants=[
        Invariant(
            "after a plain handshake data within the scaled window is never INVALID",
            lambda facts, variant: (
                variant["handshake"] != "plain" or (facts["to_server"] == facts["to_client"] == "ESTABLISHED")
            ),
        )
    ],
)
def window_scale_handshake(lab: Lab) -> FactDict:
    """Does the router remember the window scales when a handshake does not go by the book?

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
    # Windows in segments with SYN are not scaled: only what is acknowledged later tells the real
    # ones.
    states += [client.ack(), client.data(100), server.data(100), client.ack()]
    facts: FactDict = {"handshake": states}
    for name, sender, receiver in (("to_server", client, server), ("to_client", server, client)):
        facts[name] = "/".join(sorted({sender.data(1400) for _ in range(50)}))
        receiver.ack()
    return facts | {"state": lab.state(client.endpoint)}
