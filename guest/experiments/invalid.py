"""Malformed packets: which are INVALID, and does the kernel log them?"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

from guest.catalogue import FAMILIES, SCOPES, Fact, FactDict, Invariant, experiment
from guest.errors import Refused
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.packets import echo, endpoint, ip, tcp, udp
from guest.lab.router import Router

_LOG = "net/netfilter/nf_conntrack_log_invalid"
_LOG_ALL = "net/netfilter/nf_log_all_netns"


def _wrong(packet: bytes, place: int) -> bytes:
    """The packet with one bit of the byte at `place` turned over."""
    return packet[:place] + bytes([packet[place] ^ 1]) + packet[place + 1 :]


@experiment(
    facts=[
        Fact("checked", list, "conntrack state of packets with a wrong checksum: TCP, UDP, ICMP"),
        Fact("unchecked", list, "the same with nf_conntrack_checksum=0"),
        Fact("zero_udp", str, "conntrack state of a UDP packet without a checksum"),
        Fact("flows", int, "flows after the wrong packets with the check on"),
    ],
    invariants=[
        Invariant(
            "with the check on a wrong checksum is INVALID",
            lambda facts, variant: set(facts["checked"]) == {"INVALID"},
        ),
        Invariant(
            "with the check off it is not looked at",
            lambda facts, variant: set(facts["unchecked"]) == {"NEW"},
        ),
    ],
    variants={"family": FAMILIES},
)
def bad_checksum(lab: Lab) -> FactDict:
    """Are packets with a wrong checksum INVALID?

    A SYN, a UDP packet and an echo request with one bit of their payload or header turned over pass
    the router, with nf_conntrack_checksum at its default of 1, then at 0. Network cards that
    compute checksums later make captures look wrong, and tunnels make them really wrong.
    """
    router = lab.router()
    header = lab.family.header
    client, server = router.client_address, router.server_address

    def wrong(port: int) -> list[str]:
        packets = [
            tcp(endpoint(client, port), endpoint(server, 80)),
            udp(endpoint(client, port), endpoint(server, 53)),
            echo(client, server, port),
        ]
        # The last byte of the window of a SYN; the last byte of UDP and ICMP.
        places = (header + 15, header + 11, header + 7)
        return [
            router.from_client(_wrong(bytes(packet), place))
            for packet, place in zip(packets, places, strict=True)
        ]

    facts: FactDict = {"checked": wrong(40000), "flows": len(lab.flows())}
    without = bytearray(bytes(udp(endpoint(client, 40001), endpoint(server, 53))))
    without[header + 6 : header + 8] = b"\0\0"
    facts["zero_udp"] = router.from_client(bytes(without))
    lab.sysctl("net/netfilter/nf_conntrack_checksum", 0)
    return facts | {"unchecked": wrong(40003)}


@experiment(
    facts=[
        Fact(
            "invalid",
            list,
            "combinations of SYN, FIN, RST, ACK, PSH and URG that are INVALID as first packet of a"
            " connection",
        ),
        Fact("new", list, "combinations that make an entry"),
        Fact(
            "invalid_later",
            list,
            "combinations that are INVALID on an established connection, with fitting sequence numbers",
        ),
        Fact("reserved", str, "conntrack state of a SYN with the reserved bits and ECN bits set"),
        Fact("short", str, "conntrack state of a segment whose header claims to be longer than the packet"),
    ],
    invariants=[
        Invariant("a SYN is a first packet", lambda facts, variant: "S" in facts["new"]),
        Invariant(
            "no flags, SYN+FIN and SYN+RST are INVALID",
            lambda facts, variant: {"none", "SF", "SR"} <= set(facts["invalid"]),
        ),
    ],
    variants={"loose": ("1", "0")},
)
def bad_flags(lab: Lab) -> FactDict:
    """Which combinations of TCP flags are INVALID?

    All 64 combinations of SYN, FIN, RST, ACK, PSH and URG as the first packet of a connection, then
    as a segment of an established one. `loose` is nf_conntrack_tcp_loose.
    """
    router = lab.router()
    lab.sysctl(sysctls.TCP_LOOSE, lab.variant["loose"])
    flags = ["".join(chosen) for size in range(7) for chosen in itertools.combinations("SFRAPU", size)]
    first = {
        flag: router.from_client(tcp(f"10.0.1.2:{40000 + n}", "10.0.2.2:80", flag))
        for n, flag in enumerate(flags)
    }
    later = {}
    for number, flag in enumerate(flags):
        client, _ = router.handshake(41000 + number)
        later[flag] = client.send(flag)
    segment = tcp("10.0.1.2:42000", "10.0.2.2:80", "SEC")
    segment["TCP"].reserved = 7
    short = tcp("10.0.1.2:42001", "10.0.2.2:80", "S")
    short["TCP"].dataofs = 15
    return {
        "invalid": [flag or "none" for flag, state in first.items() if state == "INVALID"],
        "new": [flag or "none" for flag, state in first.items() if state == "NEW"],
        "invalid_later": [flag or "none" for flag, state in later.items() if state == "INVALID"],
        "reserved": router.from_client(segment),
        "short": router.from_client(short),
    }


@experiment(
    facts=[
        Fact("write", str, "what the kernel says when nf_conntrack_log_invalid is set: ok or an errno"),
        Fact("quiet", int, "lines logged for an INVALID packet with the knob off"),
        Fact(
            "alone",
            list,
            "lines logged once the knob is on and nothing else was loaded, numbers replaced by N",
        ),
        Fact("loaded", list, "lines logged once a logger module is loaded as well"),
        Fact("module", str, "the logger module this kernel has"),
        Fact(
            "reasons",
            list,
            "per kind of INVALID packet: what the kernel logs of it then, numbers replaced by N",
        ),
    ],
    invariants=[Invariant("with the knob off nothing is logged", lambda facts, variant: facts["quiet"] == 0)],
    variants={"scope": SCOPES},
)
def log_invalid(lab: Lab) -> FactDict:
    """Does nf_conntrack_log_invalid log, without any further preparation?

    A SYN+FIN passes the router with the knob off, on, and on with a logger module loaded (which
    also happens by a LOG rule somewhere); then INVALID packets of other kinds. Namespaces other
    than the initial one log only with nf_log_all_netns=1, which is set here. Those who turn the
    knob on and see nothing conclude that there are no INVALID packets.
    """
    lab.root.sysctl(_LOG_ALL, 1)
    router = lab.router(states=False)
    lab.track()
    ports = itertools.count(40000)

    def logged(send: Callable[[], object]) -> list[str]:
        before = len(lab.root.dmesg())
        send()
        lines = [line for line in lab.root.dmesg()[before:] if "SRC=" in line]
        return [re.sub(r"SRC=.*", "SRC=...", re.sub(r"\d+", "N", line)) for line in lines]

    def flags() -> None:
        router.from_client(tcp(f"10.0.1.2:{next(ports)}", "10.0.2.2:80", "SF"))

    facts: FactDict = {"quiet": len(logged(flags)), "write": lab.try_sysctl(_LOG, 255)}
    facts["alone"] = logged(flags)
    facts["module"] = _load_logger(lab)
    facts["loaded"] = logged(flags) if facts["module"] != "none" else []
    reasons = []
    for name, send in _invalid(lab, router).items():
        words = [line.partition(" IN=")[0] for line in logged(send)]
        reasons.append(f"{name}: {' / '.join(words) or 'nothing'}")
    return facts | {"reasons": reasons}


def _load_logger(lab: Lab) -> str:
    """Loads the kernel's logger; returns its name, or `none`."""
    for module in ("nf_log_syslog", "nf_log_ipv4"):
        try:
            lab.root.modprobe(module)
        except Refused:
            continue
        return module
    return "none"


def _invalid(lab: Lab, router: Router) -> dict[str, Callable[[], object]]:
    """Ways to send packets that are INVALID, one kind each."""
    from scapy.layers.inet import ICMP

    client, server = router.handshake(45000)
    client.data(1000)
    server.ack()
    fresh, _ = router.tcp(45001)
    short = tcp("10.0.1.2:45002", "10.0.2.2:80", "S")
    short["TCP"].dataofs = 15

    def picked_up() -> None:
        lab.sysctl(sysctls.TCP_LOOSE, 0)
        fresh.ack(ack=7)

    return {
        "data above the window": lambda: client.data(100, seq=client.seq + 1_000_000),
        "data below the window": lambda: client.data(100, seq=client.seq - 1_000_000),
        "ACK of what was not sent": lambda: server.ack(ack=client.seq + 1_000_000),
        "reset out of the window": lambda: server.rst(seq=server.seq + 1_000_000),
        "SYN+ACK of an established connection": lambda: client.synack(seq=client.seq - 1),
        "no SYN, tcp_loose=0": picked_up,
        "wrong checksum": lambda: router.from_client(_wrong(bytes(tcp("10.0.1.2:45003", "10.0.2.2:80")), 35)),
        "short header": lambda: router.from_client(short),
        "ICMP error about nothing": lambda: router.from_server(
            ip("10.0.2.2", "10.0.1.2") / ICMP(type=3, code=3) / bytes(udp("10.0.1.2:9", "10.0.2.2:9"))
        ),
    }
