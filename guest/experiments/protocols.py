"""Protocols other than TCP and UDP: how they are tracked."""

from __future__ import annotations

import struct

from guest.catalogue import Fact, Facts, Invariant, experiment
from guest.lab import Lab
from guest.lab.packets import Packet, echo, icmp_error, ip, parse, protocol, tcp, udp
from guest.lab.router import LOST


def _checksummed(number: int, header: bytes, place: int, *, right: bool = True) -> Packet:
    from scapy.layers.inet import IP, in4_chksum

    checksum = in4_chksum(number, IP(src="10.0.1.2", dst="10.0.2.2"), header)
    filled = bytearray(header)
    struct.pack_into(">H", filled, place, checksum if right else checksum ^ 0x5555)
    return protocol("10.0.1.2", "10.0.2.2", number, bytes(filled))


@experiment(
    facts=[
        Fact("dccp", str, "conntrack state of a DCCP REQUEST"),
        Fact("dccp_entry", str, "its entry: protocol state and lifetime, or none"),
        Fact("dccp_ports", bool, "whether the entry knows ports"),
        Fact("udplite", str, "conntrack state of a UDP-Lite datagram with the right checksum"),
        Fact("udplite_wrong", str, "of one with a wrong checksum"),
        Fact("udplite_unchecked", str, "of one while nf_conntrack_checksum is 0"),
        Fact("udplite_entry", str, "lifetime of the entry that the last one makes, or none"),
        Fact("udplite_ports", bool, "whether that entry knows ports"),
    ],
)
def dccp_udplite(lab: Lab) -> Facts:
    """Are DCCP and UDP-Lite tracked as protocols of their own, or as anything unknown?

    A DCCP REQUEST and UDP-Lite datagrams through a router. A protocol that the kernel no longer knows is tracked by addresses alone: two
    connections between the same machines are one, and NAT cannot keep them apart.
    """
    router = lab.router()
    # ports 5000 to 53, data offset 6 words, type REQUEST with long sequence numbers, service code 0
    request = struct.pack(">HHBBHBBHIII", 5000, 53, 6, 0, 0, 1, 0, 0, 1, 0, 0)
    facts: Facts = {"dccp": router.from_client(_checksummed(33, request, 6))}
    flow = next((flow for flow in lab.flows() if flow.orig.protocol == 33), None)
    facts["dccp_entry"] = f"{flow.state or 'no state'}, {flow.lifetime}" if flow else "none"
    facts["dccp_ports"] = bool(flow and flow.orig.dport == 53)
    lite = struct.pack(">HHHH", 5000, 53, 0, 0) + b"data"
    facts["udplite_wrong"] = router.from_client(_checksummed(136, lite, 6, right=False))
    facts["udplite"] = router.from_client(_checksummed(136, lite, 6))
    lab.sysctl("net/netfilter/nf_conntrack_checksum", 0)
    facts["udplite_unchecked"] = router.from_client(_checksummed(136, lite, 6))
    flow = next((flow for flow in lab.flows() if flow.orig.protocol == 136), None)
    facts["udplite_entry"] = flow.lifetime if flow else "none"
    return facts | {"udplite_ports": bool(flow and flow.orig.dport == 53)}


_ICMPV6 = (130, 135, 136, 143, 151, 152)


@experiment(
    facts=[Fact("states", dict, "per ICMPv6 type: 1 if it is untracked, 0 if it is NEW or INVALID"), Fact("flows", int, "flows left")],
    invariants=[
        Invariant("neighbour discovery is never tracked", lambda facts, variant: facts["states"]["135"] == facts["states"]["136"] == 1)
    ],
)
def icmpv6_untracked(lab: Lab) -> Facts:
    """Which ICMPv6 messages are exempt from connection tracking?

    MLD query (130) and report (143), neighbour solicitation and advertisement (135, 136), multicast router messages (151, 152) to
    ff02::1, hop limit as the protocols have it. A host that drops INVALID must not drop these.
    """
    from scapy.layers.inet6 import ICMPv6Unknown

    rules = "; ".join(f'icmpv6 type {kind} ct state untracked counter comment "{kind}"' for kind in _ICMPV6)
    lab.nft(f"table ip6 look {{ chain pre {{ type filter hook prerouting priority 0; {rules}; }}; }}")
    wire = lab.host(6)
    for kind in _ICMPV6:
        hops = 255 if kind in (135, 136) else 1
        wire.send(ip("fe80::2", "ff02::1", hops) / ICMPv6Unknown(type=kind, msgbody=bytes(20)))
    counters = lab.counters()
    return {"states": {str(kind): counters.packets(str(kind)) for kind in _ICMPV6}, "flows": len(lab.flows())}


def _sctp() -> dict[str, list[Packet]]:
    from scapy.layers.inet import IP
    from scapy.layers.sctp import (
        SCTP,
        SCTPChunkCookieAck,
        SCTPChunkCookieEcho,
        SCTPChunkHeartbeatReq,
        SCTPChunkInit,
        SCTPChunkInitAck,
        SCTPChunkParamHeartbeatInfo,
        SCTPChunkShutdown,
        SCTPChunkShutdownAck,
        SCTPChunkShutdownComplete,
    )

    def client(chunk: Packet, tag: int) -> Packet:
        return IP(src="10.0.1.2", dst="10.0.2.2") / SCTP(sport=5000, dport=80, tag=tag) / chunk

    def server(chunk: Packet, tag: int) -> Packet:
        return IP(src="10.0.2.2", dst="10.0.1.2") / SCTP(sport=80, dport=5000, tag=tag) / chunk

    init = {"a_rwnd": 65535, "n_out_streams": 1, "n_in_streams": 1, "init_tsn": 1}
    beat = SCTPChunkHeartbeatReq(params=[SCTPChunkParamHeartbeatInfo(data=b"beat")])
    return {
        "client": [
            client(SCTPChunkInit(init_tag=0x11, **init), 0),
            client(SCTPChunkCookieEcho(cookie=b"cookie12"), 0x22),
            client(SCTPChunkShutdown(cumul_tsn_ack=1), 0x22),
            client(SCTPChunkShutdownComplete(), 0x22),
            client(beat, 0x22),
            client(SCTPChunkInit(init_tag=0x33, **init), 0),
        ],
        "server": [
            server(SCTPChunkInitAck(init_tag=0x22, **init), 0x11),
            server(SCTPChunkCookieAck(), 0x11),
            server(SCTPChunkShutdownAck(), 0x11),
            server(SCTPChunkInitAck(init_tag=0x44, **init), 0x99),
        ],
    }


@experiment(
    facts=[
        Fact("association", list, "per chunk of an association from INIT to SHUTDOWN COMPLETE: conntrack state, protocol state, lifetime"),
        Fact("lone_heartbeat", list, "the same for a HEARTBEAT of an unknown association"),
        Fact(
            "second_init", list, "the same for an INIT with another tag while the first is unanswered, and for an INIT ACK with a wrong tag"
        ),
    ],
)
def sctp_states(lab: Lab) -> Facts:
    """Which states does an SCTP association go through, and what do a lone HEARTBEAT and a second INIT do?

    INIT, INIT ACK, COOKIE ECHO, COOKIE ACK, SHUTDOWN, SHUTDOWN ACK, SHUTDOWN COMPLETE through a router; then, in namespaces of their own, a
    HEARTBEAT on a path that never saw an INIT (a multi-homed peer's second path), and two INITs with different tags before an INIT ACK
    with a tag that belongs to neither.
    """
    facts: Facts = {}
    plans = {
        "association": [("client", 0), ("server", 0), ("client", 1), ("server", 1), ("client", 2), ("server", 2), ("client", 3)],
        "lone_heartbeat": [("client", 4)],
        "second_init": [("client", 0), ("client", 5), ("server", 3)],
    }
    for name, plan in plans.items():
        place = lab.another()
        router = place.router()
        chunks = _sctp()
        facts[name] = []
        for side, number in plan:
            send = router.from_client if side == "client" else router.from_server
            state = send(chunks[side][number])
            flow = next(iter(place.flows()), None)
            facts[name].append(f"{state}, {flow.state}, {flow.lifetime}" if flow else f"{state}, no entry")
    return facts


_ERRORS = {"unreachable": (3, 3), "host_unreachable": (3, 1), "fragmentation": (3, 4), "time_exceeded": (11, 0), "parameter": (12, 0)}
_ERRORS6 = {"unreachable": (1, 4), "too_big": (2, 0), "time_exceeded": (3, 0), "parameter": (4, 0)}


@experiment(
    facts=[
        Fact("known", dict, "per ICMP error about a tracked flow: 1 if it is RELATED, else 0"),
        Fact("unknown", str, "conntrack state of an error about a flow nobody knows"),
        Fact("from_third", str, "conntrack state of an error about a tracked flow, sent by a router on the way"),
        Fact("translated", str, "whose address the quoted packet has after masquerading: client, router, or lost"),
        Fact("entry", str, "what an error does to the entry: kept or gone"),
    ],
    invariants=[Invariant("errors about tracked flows are RELATED", lambda facts, variant: set(facts["known"].values()) == {1})],
    variants={"family": ("ipv4", "ipv6")},
)
def icmp_errors(lab: Lab) -> Facts:
    """Are ICMP errors about a tracked flow let through, and are they translated back?

    A UDP datagram through a router; errors of each type that quote it, from the server and from a router beyond; one that quotes an
    unknown flow; and one about a masqueraded flow, whose quoted packet must carry the client's address again. Path MTU discovery depends
    on it.
    """
    six = lab.family == 6
    router = lab.router(family=lab.family)
    errors = _ERRORS6 if six else _ERRORS
    client, server = router.client_address, router.server_address
    third = "2001:db8:2::99" if six else "10.0.2.99"

    def ends(port: int) -> tuple[str, str]:
        return (f"[{client}]:{port}", f"[{server}]:53") if six else (f"{client}:{port}", f"{server}:53")

    datagram = udp(*ends(5000))
    router.from_client(datagram)
    quoted = bytes(datagram)
    known = {
        name: int(router.from_server(icmp_error(server, client, quoted, kind, code, rest=1280)) == "RELATED")
        for name, (kind, code) in errors.items()
    }
    kind, code = errors["unreachable"]
    facts: Facts = {
        "known": known,
        "unknown": router.from_server(icmp_error(server, client, bytes(udp(*ends(9))), kind, code)),
        "from_third": router.from_server(icmp_error(third, client, quoted, kind, code)),
        "entry": "kept" if lab.flow(ends(5000)[0]) else "gone",
    }
    own = "2001:db8:2::1" if six else "10.0.2.1"
    lab.nft(
        f"table {'ip6' if six else 'ip'} nat {{ chain post {{ type nat hook postrouting priority 100; udp sport 5001 masquerade; }}; }}"
    )
    router.from_client(udp(*ends(5001)))
    outside = router.out[0]
    state = router.from_server(icmp_error(server, own, outside, kind, code))
    facts["translated"] = LOST
    if state != LOST:
        inner = bytes(parse(router.out[0]).payload)[8:]
        source = parse(inner).src
        facts["translated"] = {client: "client", own: "router"}.get(source, source)
    return facts


@experiment(
    facts=[
        Fact("first", str, "conntrack state of an echo request"),
        Fact("reply", str, "of its reply"),
        Fact("second_reply", str, "of the same reply again"),
        Fact("unasked", str, "of a reply nobody asked for"),
        Fact("same_id", str, "of a request with the same id from another client"),
        Fact("timestamp", str, "of an ICMP timestamp request"),
        Fact("unknown_type", str, "of an ICMP message of an unassigned type"),
        Fact("flows", int, "flows afterwards"),
    ],
    invariants=[
        Invariant(
            "a reply nobody asked for is INVALID", lambda facts, variant: facts["unasked"] == "INVALID" and facts["reply"] == "ESTABLISHED"
        )
    ],
)
def ping(lab: Lab) -> Facts:
    """How is ping tracked, and what of a reply that nobody asked for?

    Echo requests and replies, a timestamp request, and a message of type 250 through a router.
    """
    router = lab.router()
    request, reply = echo("10.0.1.2", "10.0.2.2"), echo("10.0.2.2", "10.0.1.2", reply=True)
    return {
        "first": router.from_client(request),
        "reply": router.from_server(reply),
        "second_reply": router.from_server(reply),
        "unasked": router.from_server(echo("10.0.2.2", "10.0.1.2", 99, reply=True)),
        "same_id": router.from_client(echo("10.0.1.3", "10.0.2.2")),
        "timestamp": router.from_client(icmp_error("10.0.1.2", "10.0.2.2", bytes(12), 13, 0, rest=7 << 16)),
        "unknown_type": router.from_client(icmp_error("10.0.1.2", "10.0.2.2", bytes(12), 250, 0)),
        "flows": len(lab.flows()),
    }


@experiment(
    facts=[
        Fact("keyed", str, "conntrack state of a keyed GRE packet as PPTP sends it"),
        Fact("reply", str, "of one in the other direction with another key"),
        Fact("plain", str, "of a plain GRE packet"),
        Fact("flows", int, "flows the three make"),
        Fact("lifetime", str, "lifetime of the first flow after an answer"),
    ],
)
def gre_generic(lab: Lab) -> Facts:
    """Is GRE tracked by its key without the PPTP helper?

    A version-1 GRE packet with key 1 from the client, one with key 2 from the server (PPTP's call ids differ by direction), and a plain
    version-0 packet. Where the key is taken for a port, the two directions are two flows.
    """
    router = lab.router()

    def pptp(key: int) -> bytes:
        return struct.pack(">HHHHI", 0x3001, 0x880B, 4, key, 1) + b"data"

    keyed = router.from_client(protocol("10.0.1.2", "10.0.2.2", 47, pptp(1)))
    reply = router.from_server(protocol("10.0.2.2", "10.0.1.2", 47, pptp(2)))
    flows = lab.flows()
    plain = router.from_client(protocol("10.0.1.2", "10.0.2.2", 47, b"\0\0\x08\0" + bytes(20)))
    return {
        "keyed": keyed,
        "reply": reply,
        "plain": plain,
        "flows": len(lab.flows()),
        "lifetime": flows[0].lifetime if flows else "none",
    }


_FLAGS = {"null": "", "fin": "F", "xmas": "FPU", "syn_fin": "SF", "syn_rst": "SR", "rst_fin": "RF", "syn_urg": "SU", "ece_cwr_syn": "SEC"}


@experiment(
    facts=[
        Fact("states", list, "per combination of flags: conntrack state of such a first segment"),
        Fact("flows", int, "flows they make"),
    ],
    invariants=[
        Invariant(
            "impossible combinations are INVALID",
            lambda facts, variant: {"null: INVALID", "xmas: INVALID", "syn_fin: INVALID", "syn_rst: INVALID"} <= set(facts["states"]),
        )
    ],
)
def bad_flags(lab: Lab) -> Facts:
    """Which combinations of TCP flags are INVALID as the first segment of a connection?

    One segment each, from a port of its own, as port scanners send them; and a SYN that offers ECN, which is none of these.
    """
    router = lab.router()
    states = [
        f"{name}: {router.from_client(tcp(f'10.0.1.2:{port}', '10.0.2.2:80', flags))}"
        for port, (name, flags) in enumerate(_FLAGS.items(), start=5000)
    ]
    return {"states": states, "flows": len(lab.flows())}


@experiment(
    facts=[
        Fact("checked", list, "per protocol: conntrack state of a first packet with a wrong checksum"),
        Fact("unchecked", list, "the same with nf_conntrack_checksum at 0"),
        Fact("zero_udp", str, "conntrack state of a UDP datagram without a checksum"),
    ],
    invariants=[Invariant("a UDP datagram may have no checksum", lambda facts, variant: facts["zero_udp"] == "NEW")],
)
def bad_checksum(lab: Lab) -> Facts:
    """Are packets with wrong checksums INVALID?

    A SYN, a UDP datagram and an echo request with wrong checksums through a router, with nf_conntrack_checksum at 1 (the default) and at 0.
    """
    router = lab.router()

    def wrong(port: int) -> dict[str, Packet]:
        segment, datagram, request = (
            tcp(f"10.0.1.2:{port}", "10.0.2.2:80"),
            udp(f"10.0.1.2:{port}", "10.0.2.2:53"),
            echo("10.0.1.2", "10.0.2.2", port),
        )
        for packet in (segment, datagram, request):
            packet.payload.chksum = 0x1234
        return {"tcp": segment, "udp": datagram, "icmp": request}

    facts: Facts = {"checked": [f"{name}: {router.from_client(packet)}" for name, packet in wrong(5000).items()]}
    lab.sysctl("net/netfilter/nf_conntrack_checksum", 0)
    facts["unchecked"] = [f"{name}: {router.from_client(packet)}" for name, packet in wrong(5001).items()]
    lab.sysctl("net/netfilter/nf_conntrack_checksum", 1)
    datagram = udp("10.0.1.2:5002", "10.0.2.2:53")
    datagram.payload.chksum = 0
    return facts | {"zero_udp": router.from_client(datagram)}
