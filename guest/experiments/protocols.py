"""Protocols without their own tracker, or with one that was removed."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path

from guest.catalogue import FAMILIES, Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import Packet, neighbour, protocol
from guest.observe.ctnetlink import GONE, Flow


def _checksum(source: str, destination: str, number: int, payload: bytes) -> int:
    """The checksum of RFC 1071 over pseudo header and payload."""
    from scapy.utils import checksum

    addresses = b"".join(ipaddress.ip_address(address).packed for address in (source, destination))
    return int(checksum(addresses + struct.pack(">HH", number, len(payload)) + payload))


def _entry(flow: Flow) -> str:
    if not flow:
        return "gone"
    ports = f"ports {flow.orig.sport}-{flow.orig.dport}" if flow.orig.sport or flow.orig.dport else "no ports"
    return f"{ports}, {flow.state + ', ' if flow.state else ''}{flow.lifetime}"


_CLIENT, _SERVER = "10.0.1.2", "10.0.2.2"
_MASQUERADED = "ip saddr 10.0.1.16/28 masquerade"


def _dccp(source: str, destination: str, sport: int, dport: int, kind: int, acknowledge: bool) -> Packet:
    """A DCCP packet with 48-bit sequence numbers (RFC 4340): request 0, response 1, ack 3."""
    rest = (struct.pack(">HHI", 0, 0, 1000) if acknowledge else b"") + (
        struct.pack(">I", 42) if kind < 2 else b""
    )
    length = 16 + len(rest)
    header = struct.pack(">HHBBHBBHI", sport, dport, length // 4, 0, 0, kind << 1 | 1, 0, 0, 1000) + rest
    total = _checksum(source, destination, 33, header)
    return protocol(source, destination, 33, header[:6] + struct.pack(">H", total) + header[8:])


@experiment(
    facts=[
        Fact("states", list, "conntrack state of request, response and ack"),
        Fact("entries", list, "the entry after each of them: ports, DCCP state, timeout"),
        Fact("two_ports", int, "flows after another request from another port"),
        Fact("stray", str, "conntrack state of an ack without a connection"),
        Fact("truncated", str, "conntrack state of a packet shorter than a DCCP header"),
        Fact("knobs", int, "how many nf_conntrack_dccp_* sysctls there are"),
        Fact("in_proc", str, "the name of the protocol in /proc/net/nf_conntrack"),
    ],
    variants={"family": FAMILIES},
)
def dccp(lab: Lab) -> FactDict:
    """Is DCCP tracked by its ports and states, or as a protocol without any?

    A DCCP handshake through the router, a second request from another port, an ack out of nowhere,
    and four bytes that are no DCCP. Where DCCP has no tracker, all of it between two hosts is one
    flow, and NAT cannot distinguish two clients.
    """
    router = lab.router()
    client, server = lab.client, lab.server
    facts: FactDict = {"states": [], "entries": []}
    for name, way, packet in (
        ("request", router.from_client, _dccp(client, server, 40000, 5001, 0, False)),
        ("response", router.from_server, _dccp(server, client, 5001, 40000, 1, True)),
        ("ack", router.from_client, _dccp(client, server, 40000, 5001, 3, True)),
    ):
        facts["states"].append(way(packet))
        flows = lab.flows()
        facts["entries"].append(f"{name}: {_entry(flows[0] if flows else GONE)}")
    router.from_client(_dccp(client, server, 40001, 5001, 0, False))
    facts["two_ports"] = len(lab.flows())
    facts["stray"] = router.from_client(_dccp(neighbour(client, 3), server, 40000, 5001, 3, True))
    facts["truncated"] = router.from_client(protocol(neighbour(client, 4), server, 33, b"\x9c\x40\x13\x89"))
    facts["in_proc"] = _in_proc(lab)
    return facts | {"knobs": sum("_dccp_" in path.name for path in Path("/proc/sys/net/netfilter").iterdir())}


def _in_proc(lab: Lab) -> str:
    """The protocol of the first flow as /proc names it."""
    return lab.read("/proc/net/nf_conntrack").split()[2]


def _udplite(source: str, destination: str, sport: int, dport: int, wrong: int = 0) -> Packet:
    """A UDP-Lite datagram of which the whole is covered by the checksum (RFC 3828)."""
    header = struct.pack(">HHHH", sport, dport, 0, 0) + b"data"
    total = _checksum(source, destination, 136, header) ^ wrong
    return protocol(source, destination, 136, header[:6] + struct.pack(">H", total) + header[8:])


@experiment(
    facts=[
        Fact("right_checksum", str, "conntrack state of a datagram with a right checksum"),
        Fact("wrong_checksum", str, "conntrack state of a datagram with a wrong checksum"),
        Fact("unchecked", list, "conntrack state of a datagram and its answer with nf_conntrack_checksum=0"),
        Fact("entry", str, "the entry these leave: ports, timeout"),
        Fact("two_ports", int, "flows between two hosts after a datagram from another port"),
        Fact("in_proc", str, "the name of the protocol in /proc/net/nf_conntrack"),
    ],
    variants={"family": FAMILIES},
)
def udplite(lab: Lab) -> FactDict:
    """Is UDP-Lite tracked by its ports, or as a protocol without any?

    Datagrams with a right and a wrong checksum through the router; then, with the check off, a
    datagram, its answer, and one from another port. The tracker for UDP-Lite reckons every checksum
    with UDP's number in the pseudo header, and so finds the right ones wrong. Where there is no
    tracker, all UDP-Lite between two hosts is one flow and checksums are not checked.
    """
    router = lab.router()
    client, server = lab.client, lab.server
    facts: FactDict = {
        "right_checksum": router.from_client(_udplite(neighbour(client, 3), server, 40000, 5001)),
        "wrong_checksum": router.from_client(
            _udplite(neighbour(client, 4), server, 40000, 5001, wrong=0x5555)
        ),
    }
    lab.conntrack.flush()
    lab.sysctl("net/netfilter/nf_conntrack_checksum", 0)
    facts["unchecked"] = [
        router.from_client(_udplite(client, server, 40000, 5001)),
        router.from_server(_udplite(server, client, 5001, 40000)),
    ]
    flows = lab.flows()
    facts["entry"] = _entry(flows[0] if flows else GONE)
    router.from_client(_udplite(client, server, 40001, 5001))
    return facts | {"two_ports": len(lab.flows()), "in_proc": _in_proc(lab)}


def _gre(source: str, destination: str, key: int, call: int = 0) -> Packet:
    """GRE with a key (RFC 2890), or PPTP's version of it with a call id (RFC 2637) where one is
    given.
    """
    if call:
        return protocol(source, destination, 47, struct.pack(">HHHHI", 0x3001, 0x880B, 4, call, 1) + b"data")
    return protocol(source, destination, 47, struct.pack(">HHI", 0x2000, 0x0800, key) + b"data")


@experiment(
    facts=[
        Fact("states", list, "conntrack state of a packet with key 1, its answer, and a packet with key 2"),
        Fact("entry", str, "the entry after these: ports, timeout"),
        Fact("flows", int, "flows after these"),
        Fact("pptp", str, "conntrack state of a PPTP packet without a control connection"),
        Fact("pptp_flows", int, "flows more after PPTP packets of two calls"),
        Fact(
            "masqueraded",
            list,
            "what becomes of two clients' GRE packets to one server when masqueraded: conntrack state or"
            " lost",
        ),
    ],
    invariants=[Invariant("keys do not distinguish flows", lambda facts, variant: facts["flows"] == 1)],
)
def gre_generic(lab: Lab) -> FactDict:
    """Are GRE tunnels between the same two hosts separate flows?

    GRE with two keys and PPTP's GRE with two call ids, without a PPTP control connection; then two
    clients masqueraded towards one server.
    """
    router = lab.router()
    lab.chain("postrouting nat", _MASQUERADED)
    states = [
        router.from_client(_gre(_CLIENT, _SERVER, 1)),
        router.from_server(_gre(_SERVER, _CLIENT, 1)),
        router.from_client(_gre(_CLIENT, _SERVER, 2)),
    ]
    flows = lab.flows()
    facts: FactDict = {"states": states, "entry": _entry(flows[0] if flows else GONE), "flows": len(flows)}
    facts["pptp"] = router.from_client(_gre("10.0.1.3", _SERVER, 0, call=7))
    router.from_client(_gre("10.0.1.3", _SERVER, 0, call=8))
    facts["pptp_flows"] = len(lab.flows()) - facts["flows"]
    return facts | {
        "masqueraded": [router.from_client(_gre(f"10.0.1.{host}", _SERVER, 1)) for host in (16, 17)]
    }


@experiment(
    facts=[
        Fact(
            "entries",
            list,
            "per protocol: conntrack state of a packet and of its answer, ports and timeout of the entry",
        ),
        Fact(
            "masqueraded",
            list,
            "per protocol: what becomes of two clients' packets to one server when masqueraded: conntrack"
            " state or lost",
        ),
        Fact("insert_failed", int, "flows the statistics count as not insertable"),
    ],
)
def unknown_protocol(lab: Lab) -> FactDict:
    """What does connection tracking do with protocols it does not know?

    ESP (50), AH (51), OSPF (89), PIM (103), L2TP (115) and 253, which is for experiments. Between
    two hosts all packets of such a protocol are one flow; two masqueraded clients that use one with
    the same server can only be distinguished by luck.
    """
    router = lab.router()
    lab.chain("postrouting nat", _MASQUERADED)
    entries: list[str] = []
    masqueraded: list[str] = []
    before = lab.statistics()
    for number in (50, 51, 89, 103, 115, 253):
        states = [
            router.from_client(protocol(_CLIENT, _SERVER, number, bytes(16))),
            router.from_server(protocol(_SERVER, _CLIENT, number, bytes(16))),
        ]
        flow = next((flow for flow in lab.flows() if flow.orig.protocol == number), GONE)
        entries.append(f"{number}: {', '.join(states)}; {_entry(flow)}")
        both = [
            router.from_client(protocol(f"10.0.1.{host}", _SERVER, number, bytes(16))) for host in (16, 17)
        ]
        masqueraded.append(f"{number}: {', '.join(both)}")
    return {
        "entries": entries,
        "masqueraded": masqueraded,
        "insert_failed": lab.statistics(before)["insert_failed"],
    }
