"""What makes an entry, what does not, and what an entry carries."""

from __future__ import annotations

import socket

from guest.catalogue import Fact, Facts, Invariant, experiment
from guest.lab import Lab
from guest.lab.packets import udp, with_ports
from guest.lab.router import LOST
from guest.linux import errno_name

_MAX = "net/netfilter/nf_conntrack_max"
_TRACK = "table ip track { chain prerouting { type filter hook prerouting priority -150; ct state new; }; }\n"


@experiment(
    facts=[
        Fact("udp", str, "what a local program gets from sendto when the table is full: ok or an errno"),
        Fact("tcp", str, "what it gets from connect (not blocking)"),
        Fact("raw", str, "what it gets from sending an ICMP echo through a raw socket"),
        Fact("known", str, "what sendto gives on a flow that is in the table already"),
        Fact("left", int, "packets that left the machine, of those four"),
    ],
    invariants=[Invariant("a flow in the table goes on", lambda facts, variant: facts["known"] == "ok")],
    variants={"scope": ("user", "root")},
)
def table_full_local_send(lab: Lab) -> Facts:
    """What does a local program see when the table is full?

    nf_conntrack_max is 4, and four flows from outside fill the table, one of them to a local UDP socket. Then local programs send: UDP,
    TCP, an echo request, and the answer on the flow that is known. "Operation not permitted" on sending is the usual first sign of a full
    table.
    """
    lab.root.write(f"/proc/sys/{_MAX}", 4)
    lab.nft(_TRACK + "table ip out { chain output { type filter hook output priority -150; ct state new; }; }")
    wire = lab.host()
    with lab.inside():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("192.0.2.1", 53))
        wire.send(*with_ports(udp("198.18.0.2:1", "192.0.2.1:53"), range(10000, 10004)))
        wire.read()

        def attempt(kind: int, protocol: int, target: tuple[str, int], data: bytes) -> str:
            with socket.socket(socket.AF_INET, kind, protocol) as sender:
                sender.setblocking(False)
                try:
                    sender.connect(target)
                    if kind != socket.SOCK_STREAM:
                        sender.send(data)
                except OSError as error:
                    return errno_name(error)
            return "ok"

        facts: Facts = {
            "udp": attempt(socket.SOCK_DGRAM, 0, ("198.18.0.9", 53), b"data"),
            "tcp": attempt(socket.SOCK_STREAM, 0, ("198.18.0.9", 80), b""),
            "raw": attempt(socket.SOCK_RAW, 1, ("198.18.0.9", 0), b"\x08\0\xf7\xfd\0\x01\0\x01"),
        }
        try:
            server.sendto(b"answer", ("198.18.0.2", 10000))
            facts["known"] = "ok"
        except OSError as error:
            facts["known"] = errno_name(error)
        server.close()
    return facts | {"left": len(wire.read())}


_PLACES = {
    "raw": "hook prerouting priority -300; udp dport 53 drop",
    "mangle": "hook prerouting priority -150; udp dport 53 drop",
    "input": "hook input priority 0; udp dport 53 drop",
    "reject": "hook input priority 0; udp dport 53 reject",
    "policy": "hook input priority 0; policy drop",
    "accepted": "hook output priority 0; meta l4proto icmp drop",
}


@experiment(
    facts=[
        Fact("entries", dict, "per place: entries left by one datagram that is dropped there"),
        Fact("forward", int, "the same for one dropped in FORWARD of a router"),
    ],
    invariants=[
        Invariant(
            "what is dropped on its way in leaves no entry",
            lambda facts, variant: facts["forward"] == sum(facts["entries"][name] for name in _PLACES if name != "accepted") == 0,
        )
    ],
    modules=("nft_reject_ipv4",),
)
def input_drop_no_entry(lab: Lab) -> Facts:
    """Does a packet that the firewall drops leave an entry in the table?

    One UDP datagram per place: dropped in raw and mangle PREROUTING, in INPUT, rejected, dropped by INPUT's policy, in FORWARD; and one
    that is accepted, whose ICMP error is dropped on its way out. If dropped packets left entries, a firewall would not
    protect the table.
    """
    entries = {}
    for name, chain in _PLACES.items():
        place = lab.another()
        place.nft(_TRACK + f"table ip block {{ chain c {{ type filter {chain}; }}; }}")
        place.host().send(udp("198.18.0.2:10000", "192.0.2.1:53"))
        entries[name] = place.conntrack.count()
    place = lab.another()
    router = place.router("table ip block { chain c { type filter hook forward priority 0; udp dport 53 drop; }; }")
    router.from_client(udp("10.0.1.2:5000", "10.0.2.2:53"))
    return {"entries": entries, "forward": place.conntrack.count()}


_NOTRACK = {
    "native": "table ip raw {{ chain pre {{ type filter hook prerouting priority -300; {match} notrack; }}; }}",
    "iptables": "*raw\n-A PREROUTING {match} -j CT --notrack",
}


@experiment(
    facts=[
        Fact("both", list, "conntrack states of SYN, SYN+ACK, ACK and data with both directions exempt"),
        Fact("client_only", list, "the same with only the client's side exempt"),
        Fact("server_only", list, "the same with only the server's side exempt"),
        Fact("flows", list, "flows left by each"),
    ],
    variants={"frontend": ("legacy", "nft", "native")},
    invariants=[Invariant("what is exempt is UNTRACKED and leaves nothing", lambda facts, variant: set(facts["both"]) == {"UNTRACKED"})],
)
def notrack(lab: Lab) -> Facts:
    """What becomes of a connection when both directions, or only one, are exempt from tracking?

    `notrack` in PREROUTING for both sides of a router, for the client's alone, and for the server's alone; then a handshake and data. A
    rule that matches one direction only leaves the other half of each connection INVALID.
    """
    facts: Facts = {"flows": []}
    matches = {"both": ("", ""), "client_only": ("iifname tun0", "-i tun0"), "server_only": ("iifname tun1", "-i tun1")}
    for name, (native, iptables) in matches.items():
        place = lab.another()
        if lab.frontend == "native":
            router = place.router(_NOTRACK["native"].format(match=native))
        else:
            router = place.router()
            place.iptables(_NOTRACK["iptables"].format(match=iptables))
        client, server = router.tcp()
        facts[name] = [client.syn(), server.synack(), client.ack(), client.data(100)]
        facts["flows"].append(f"{name}: {place.conntrack.count()}")
    return facts


@experiment(
    facts=[
        Fact("tcp", list, "conntrack states after the table is flushed: the client's next data, the server's answer"),
        Fact("tcp_state", str, "the entry's state then"),
        Fact("nat_server_first", str, "a masqueraded connection whose server speaks first after the flush: forwarded or lost"),
        Fact("nat_client_first", str, "whose client speaks first: the source port is the same, another, or the packet is lost"),
        Fact("udp", list, "conntrack states of a UDP flow's answer and next question after the flush"),
    ],
    variants={"scope": ("user", "root")},
)
def flush_during_flow(lab: Lab) -> Facts:
    """What happens to live connections when the table is flushed?

    Established connections through a router, plain and masqueraded, and a UDP flow that was answered; then every entry is deleted, and
    they go on. tcp_loose is on, as by default.
    """
    place = lab.another()
    router = place.router()
    client, server = router.handshake()
    client.data(100)
    server.ack()
    place.conntrack.flush()
    facts: Facts = {"tcp": [client.data(100), server.data(100)]}
    facts["tcp_state"] = place.state(client.me)
    question, answer = udp("10.0.1.2:5000", "10.0.2.2:53"), udp("10.0.2.2:53", "10.0.1.2:5000")
    router.from_client(question)
    router.from_server(answer)
    place.conntrack.flush()
    facts["udp"] = [router.from_server(answer), router.from_client(question)]

    masquerade = "table ip nat { chain post { type nat hook postrouting priority 100; oifname tun1 masquerade; }; }"
    for who in ("server", "client"):
        place = lab.another()
        router = place.router(masquerade)
        client, server = router.tcp()
        server.other = "10.0.2.1:40000"
        client.syn()
        server.synack()
        client.ack()
        place.conntrack.flush()
        if who == "server":
            facts["nat_server_first"] = "lost" if server.data(100) == LOST else "forwarded"
        else:
            state = client.data(100)
            port = int.from_bytes(router.out[0][20:22], "big") if router.out else 0
            facts["nat_client_first"] = "lost" if state == LOST else "the same" if port == 40000 else "another"
    return facts


@experiment(
    facts=[
        Fact("tcp", list, "states of a simultaneous open: after each side's SYN and each side's SYN+ACK"),
        Fact("forwarded", list, "conntrack states of those four"),
        Fact("final", str, "the entry's state after data"),
    ],
)
def simultaneous_open(lab: Lab) -> Facts:
    """Is a simultaneous open of a TCP connection followed?

    Both ends send a SYN, then both a SYN+ACK, as peers do that punch holes through NAT (RFC 793, figure 8).
    """
    router = lab.router()
    client, server = router.tcp()
    forwarded, states = [], []
    for peer, flags in ((client, "S"), (server, "S"), (client, "SA"), (server, "SA")):
        # The SYN+ACK bears the number of the SYN: only its acknowledgement is new.
        first = 1000 if peer is client else 5000
        forwarded.append(peer.send(flags, seq=first if flags == "SA" else None))
        states.append(lab.state(client.me))
    client.data(10)
    server.ack()
    return {"tcp": states, "forwarded": forwarded, "final": lab.state(client.me)}


@experiment(
    facts=[
        Fact("stale", str, "conntrack state of a SYN+ACK that acknowledges an older SYN"),
        Fact("stale_state", str, "the entry's state after it"),
        Fact("reset", str, "conntrack state of the client's RST in answer to it"),
        Fact("reset_state", str, "the entry's state after that"),
        Fact("right", str, "conntrack state of the right SYN+ACK afterwards"),
        Fact("right_state", str, "the entry's state after the client's ACK"),
    ],
)
def stale_synack(lab: Lab) -> Facts:
    """Does a SYN+ACK for an older SYN spoil the new connection's entry?

    The client sends a SYN; a SYN+ACK arrives that acknowledges another number (a duplicate from an older attempt), which the client
    answers with a RST at that number; then the right SYN+ACK comes.
    """
    router = lab.router()
    client, server = router.tcp()
    client.syn()
    stale = server.synack(ack=424242, seq=9000)
    facts: Facts = {"stale": stale, "stale_state": lab.state(client.me)}
    facts |= {"reset": client.rst(seq=424242), "reset_state": lab.state(client.me)}
    facts["right"] = server.synack()
    client.ack()
    return facts | {"right_state": lab.state(client.me)}


@experiment(
    facts=[
        Fact("two", int, "flows after the same packet in two zones"),
        Fact("many", int, "flows after the same packet in 200 zones"),
        Fact("reply_zone", int, "zone of the flow to which an answer in zone 2 belongs"),
    ],
    invariants=[Invariant("a zone keeps equal tuples apart", lambda facts, variant: facts["two"] == 2 and facts["many"] == 200)],
    variants={"scope": ("user", "root")},
)
def zones_same_tuple(lab: Lab) -> Facts:
    """Can the same addresses and ports be tracked in many zones at once?

    A datagram from one tuple, put into a zone by its TTL; then its answer in zone 2. Networks with overlapping addresses behind one
    router depend on it.
    """
    zones = ", ".join(f"{zone} : {zone}" for zone in range(2, 202))
    router = lab.router(
        f"table ip zones {{ chain pre {{ type filter hook prerouting priority -300; ct zone set ip ttl map {{ {zones} }}; }}; }}"
    )

    def from_zone(zone: int) -> None:
        packet = udp("10.0.1.2:5000", "10.0.2.2:53")
        packet.ttl = zone
        router.from_client(packet)

    for zone in (2, 3):
        from_zone(zone)
    two = len(lab.flows())
    answer = udp("10.0.2.2:53", "10.0.1.2:5000")
    answer.ttl = 2
    router.from_server(answer)
    replied = [flow.zone for flow in lab.flows() if "SEEN_REPLY" in flow.status]
    for zone in range(4, 202):
        from_zone(zone)
    return {"two": two, "many": lab.conntrack.count(), "reply_zone": replied[0] if len(replied) == 1 else 0}


@experiment(
    facts=[
        Fact("mark", int, "mark of an entry that a rule marked with 7"),
        Fact("restored", int, "packets of the answer that carry the mark again"),
        Fact("label", int, "labels of an entry that a rule labelled with bit 3"),
        Fact("survives", bool, "whether the mark is still there after the flow was confirmed and answered"),
    ],
    invariants=[
        Invariant("a mark put on a flow comes back with its answer", lambda facts, variant: facts["mark"] == 7 and facts["restored"] == 1)
    ],
    variants={"scope": ("user", "root")},
)
def labels_marks(lab: Lab) -> Facts:
    """Do marks and labels stay with a flow, and come back with its answer?

    A rule marks the first packet's entry with 7 and labels it with bit 3; the answer's rule copies the mark to the packet, where another
    counts it.
    """
    router = lab.router("""
        table ip marks {
            chain pre { type filter hook prerouting priority -150;
                ct state new ct mark set 7;
                ct state new ct label set 3;
                ct direction reply meta mark set ct mark;
                meta mark 7 counter comment "restored"; };
        }
    """)
    router.from_client(udp("10.0.1.2:5000", "10.0.2.2:53"))
    flow = lab.flow("10.0.1.2:5000")
    router.from_server(udp("10.0.2.2:53", "10.0.1.2:5000"))
    later = lab.flow("10.0.1.2:5000")
    return {
        "mark": flow.mark if flow else 0,
        "label": flow.labels if flow else 0,
        "restored": lab.counters().packets("restored"),
        "survives": bool(later and later.mark == 7),
    }


@experiment(
    facts=[
        Fact("default", list, "nf_conntrack_acct and nf_conntrack_timestamp in a fresh namespace"),
        Fact("counted", list, "packets and bytes of a flow of two packets one way and one back, accounting on before it began"),
        Fact("old_flow", bool, "whether a flow that began before accounting was switched on is counted from then on"),
        Fact("stamped", bool, "whether a flow has a start time with timestamps on"),
    ],
    invariants=[
        Invariant(
            "accounting counts packets and bytes each way",
            lambda facts, variant: facts["counted"] == ["2 packets, 64 bytes", "1 packets, 32 bytes"],
        )
    ],
    variants={"scope": ("user", "root")},
)
def accounting_timestamps(lab: Lab) -> Facts:
    """What do accounting and timestamps tell of a flow, and of one that is older than they?

    Both are off by default in most kernels. A flow begins, accounting and timestamps are switched on in the namespace, another flow
    begins; both carry two datagrams of 32 bytes one way and one back.
    """
    router = lab.router()
    default = [f"{name} {lab.read_sysctl(f'net/netfilter/nf_conntrack_{name}')}" for name in ("acct", "timestamp")]

    def exchange(port: int) -> None:
        router.from_client(udp(f"10.0.1.2:{port}", "10.0.2.2:53"))
        router.from_server(udp("10.0.2.2:53", f"10.0.1.2:{port}"))

    exchange(5000)
    for name in ("acct", "timestamp"):
        lab.sysctl(f"net/netfilter/nf_conntrack_{name}", 1)
    exchange(5001)
    for port in (5000, 5001):
        router.from_client(udp(f"10.0.1.2:{port}", "10.0.2.2:53"))
    old, new = lab.flow("10.0.1.2:5000"), lab.flow("10.0.1.2:5001")
    counted = []
    if new and new.packets and new.bytes:
        counted = [f"{packets} packets, {octets} bytes" for packets, octets in zip(new.packets, new.bytes, strict=True)]
    return {
        "default": default,
        "counted": counted,
        "old_flow": bool(old and old.packets),
        "stamped": bool(new and new.started),
    }
