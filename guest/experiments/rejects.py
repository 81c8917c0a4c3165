"""Rejects of odd packets: options, extension headers, fragments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.family import Family
from guest.lab.ethernet import CLIENT, bridge, frame, hardware
from guest.lab.lab import Lab
from guest.lab.packets import Packet, echo, endpoint, fragment, ip, udp


class RejectOddPackets(Facts):
    """Facts of `reject-odd-packets`."""

    answered: Annotated[list[str], "packets whose sender the rule answers"]
    silent: Annotated[list[str], "packets that it does not answer"]
    passed: Annotated[int, "how many of them get through nevertheless"]


@experiment(variants={"hook": ("bridge", "forward")}, modules=("bridge", "nft_reject_bridge"))
def reject_odd_packets(lab: Lab) -> RejectOddPackets:
    """Which packets with IP options or extension headers, and which fragments, does reject answer?

    A rule rejects, in nft's bridge family or in inet's forward hook, a datagram, an echo request
    and a port unreachable: with IP options, with hop-by-hop and destination options (IPv6), as a
    first and as a later fragment. RFC 1122 and RFC 4443 forbid to answer an ICMP error, and a
    fragment that is not the first one. Nothing tracks connections.
    """
    answered: list[str] = []
    silent: list[str] = []
    passed = 0
    for family in Family:
        send = (_bridge if lab.variant["hook"] == "bridge" else _forward)(lab, family)
        for name, packet in _packets(family):
            back, out = send(packet)
            (answered if back else silent).append(name)
            passed += out
    return RejectOddPackets(answered=answered, silent=silent, passed=passed)


_Sender = Callable[[Packet], tuple[bool, bool]]
"""Sends a packet: whether its sender was answered, and whether it got through."""


def _bridge(lab: Lab, family: Family) -> _Sender:
    place = lab.new_namespace()
    client, server = bridge(place)
    kind = "icmp" if family is Family.IPV4 else "icmpv6"
    rule = f"ether type {family.nft} reject with {kind} type admin-prohibited"
    place.chain("prerouting filter", rule, family="bridge")
    sender = hardware(CLIENT)

    def send(packet: Packet) -> tuple[bool, bool]:
        client.read()
        server.read()
        client.send(frame(packet))
        return any(data[:6] == sender for data in client.read()), any(
            data[6:12] == sender for data in server.read()
        )

    return send


def _forward(lab: Lab, family: Family) -> _Sender:
    place = lab.new_namespace()
    router = place.router(family=family, states=False)
    name = "net/ipv6/icmp/ratelimit" if family is Family.IPV6 else "net/ipv4/icmp_ratelimit"
    place.sysctl(name, 0)
    place.chain("forward filter", "reject with icmpx type admin-prohibited", family="inet")

    def send(packet: Packet) -> tuple[bool, bool]:
        router.from_client(packet)
        return bool(router.back), bool(router.out)

    return send


def _packets(family: Family) -> Iterator[tuple[str, Packet]]:
    """Each kind of packet in each form, by its name."""
    client, server = family.client, family.server
    kinds = {
        "udp": (17, udp(endpoint(client, 40000), endpoint(server, 53), bytes(64))),
        "echo": (_ICMP[family], _echo(client, server)),
        "error": (_ICMP[family], _error(client, server)),
    }
    for kind, (number, packet) in kinds.items():
        whole = bytes(packet)[family.header :]
        for form, made in _forms(family, number, whole):
            yield f"{family.value} {kind}, {form}", made


_ICMP = {Family.IPV4: 1, Family.IPV6: 58}


def _forms(family: Family, number: int, whole: bytes) -> Iterator[tuple[str, Packet]]:
    ends = family.client, family.server
    for name, place in {"first fragment": (0, 48), "later fragment": (48, len(whole))}.items():
        yield name, fragment(*ends, 7, whole, *place, protocol=number)
    header = ip(*ends)
    if family is Family.IPV4:
        header.proto = number
        # Each fills whole words: router alert (RFC 2113), record route with room for one address.
        for name, option in {"router alert": "94040000", "record route": "0707040000000000"}.items():
            header.ihl, header.options = None, [_option(option)]
            yield name, header.copy() / whole
        return
    from scapy.layers.inet6 import IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop

    for name, extension in {
        "hop-by-hop": IPv6ExtHdrHopByHop,
        "destination options": IPv6ExtHdrDestOpt,
    }.items():
        yield name, header / extension(nh=number) / whole


def _option(text: str) -> Packet:
    from scapy.layers.inet import IPOption

    return IPOption(bytes.fromhex(text))


def _echo(client: str, server: str) -> Packet:
    return echo(client, server) / bytes(64)


def _error(client: str, server: str) -> Packet:
    quoted = udp(endpoint(server, 53), endpoint(client, 40000), bytes(32))
    if ":" in client:
        from scapy.layers.inet6 import ICMPv6DestUnreach

        return ip(client, server) / ICMPv6DestUnreach(code=4) / quoted
    from scapy.layers.inet import ICMP

    return ip(client, server) / ICMP(type=3, code=3) / quoted
