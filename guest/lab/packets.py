"""Crafted packets, made with scapy.

Endpoints are written `198.18.0.2:10000` or `[2001:db8::1]:80`; without a port where a protocol has
none. scapy is imported where it is used: the host reads the catalogue without it, and the agent has
it loaded long before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

Packet = Any  # scapy's, whose fields have no static types
_FRAGMENT = 44


def split(endpoint: str) -> tuple[str, int]:
    """Address and port of an endpoint; the port is 0 if the endpoint has none."""
    if endpoint.startswith("["):
        address, _, port = endpoint[1:].partition("]")
        return address, int(port[1:] or 0)
    if endpoint.count(":") == 1:
        address, _, port = endpoint.partition(":")
        return address, int(port)
    return endpoint, 0


def endpoint(address: str, port: int) -> str:
    """Address and port as an endpoint."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def neighbour(address: str, host: int) -> str:
    """Another host in the network of an address that ends in one digit: 10.0.1.3 for 10.0.1.2 and
    3, 2001:db8:1::3 for 2001:db8:1::2 and 3.
    """
    return f"{address[:-1]}{host}"


def ip(source: str, destination: str, ttl: int = 64) -> Packet:
    """An IPv4 or IPv6 header between two addresses, to put a payload on with `/`."""
    if ":" in source:
        from scapy.layers.inet6 import IPv6

        return IPv6(src=source, dst=destination, hlim=ttl)
    from scapy.layers.inet import IP

    return IP(src=source, dst=destination, ttl=ttl)


def tcp(
    source: str,
    destination: str,
    flags: str = "S",
    *,
    seq: int = 1000,
    ack: int = 0,
    window: int = 64240,
    data: bytes = b"",
    options: Sequence[tuple[str, Any]] = (),
) -> Packet:
    """A TCP segment."""
    from scapy.layers.inet import TCP

    (saddr, sport), (daddr, dport) = split(source), split(destination)
    segment = TCP(
        sport=sport,
        dport=dport,
        flags=flags,
        seq=seq & 0xFFFFFFFF,
        ack=ack & 0xFFFFFFFF,
        window=window,
        options=list(options),
    )
    return ip(saddr, daddr) / segment / data if data else ip(saddr, daddr) / segment


def udp(source: str, destination: str, data: bytes = b"data") -> Packet:
    """A UDP datagram."""
    from scapy.layers.inet import UDP

    (saddr, sport), (daddr, dport) = split(source), split(destination)
    return ip(saddr, daddr) / UDP(sport=sport, dport=dport) / data


def echo(
    source: str, destination: str, identifier: int = 7, *, reply: bool = False, sequence: int = 1
) -> Packet:
    """An ICMP or ICMPv6 echo request or reply."""
    if ":" in source:
        from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest

        kind = ICMPv6EchoReply if reply else ICMPv6EchoRequest
        return ip(source, destination) / kind(id=identifier, seq=sequence)
    from scapy.layers.inet import ICMP

    return ip(source, destination) / ICMP(
        type="echo-reply" if reply else "echo-request", id=identifier, seq=sequence
    )


def protocol(source: str, destination: str, number: int, data: bytes = b"") -> Packet:
    """An IP packet of any protocol."""
    header = ip(source, destination)
    if ":" in source:
        header.nh = number
    else:
        header.proto = number
    return header / data


def parse(data: bytes) -> Packet:
    """The scapy packet in bytes that were read from a tun."""
    if data[0] >> 4 == 6:
        from scapy.layers.inet6 import IPv6

        return IPv6(data)
    from scapy.layers.inet import IP

    return IP(data)


def ports(data: bytes) -> tuple[int, int]:
    """Source and destination port of a TCP, UDP or SCTP packet read from a tun."""
    sport, dport = struct.unpack_from(">HH", data, (data[0] & 15) * 4 if data[0] >> 4 == 4 else 40)
    return sport, dport


def with_ports(packet: Packet, numbers: Iterable[int]) -> list[bytes]:
    """The same TCP or UDP packet from many source ports, as bytes: built once, then patched,
    checksum included (RFC 1624).
    """
    template = bytearray(bytes(packet))
    header, protocol = (40, template[6]) if template[0] >> 4 == 6 else ((template[0] & 15) * 4, template[9])
    place = header + (16 if protocol == 6 else 6)
    (before,) = struct.unpack_from(">H", template, header)
    (checksum,) = struct.unpack_from(">H", template, place)
    made = []
    for port in numbers:
        total = (~checksum & 0xFFFF) + (~before & 0xFFFF) + port
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        struct.pack_into(">H", template, header, port)
        struct.pack_into(">H", template, place, ~total & 0xFFFF)
        made.append(bytes(template))
    return made


def fragment(
    source: str, destination: str, identifier: int, whole: bytes, first: int, end: int, *, protocol: int = 17
) -> Packet:
    """The fragment with the bytes from `first` to `end` of a datagram, its own header included."""
    header = ip(source, destination)
    more = int(end < len(whole))
    if ":" in source:
        from scapy.layers.inet6 import IPv6ExtHdrFragment

        return (
            header
            / IPv6ExtHdrFragment(nh=protocol, offset=first // 8, m=more, id=identifier)
            / whole[first:end]
        )
    header.proto, header.id, header.frag, header.flags = protocol, identifier, first // 8, more
    return header / whole[first:end]


def joined(packets: Iterable[bytes]) -> bytes:
    """The payload of an IP packet that came in these pieces, in any order; empty if one is missing
    in between.
    """
    found: dict[int, bytes] = {}
    for data in packets:
        if data[0] >> 4 == 4:
            header, place = (data[0] & 15) * 4, (int.from_bytes(data[6:8], "big") & 0x1FFF) * 8
        elif data[6] == _FRAGMENT:
            header, place = 48, int.from_bytes(data[42:44], "big") & 0xFFF8
        else:
            header, place = 40, 0
        found[place] = data[header:]
    whole = b""
    for place, part in sorted(found.items()):
        if place != len(whole):
            return b""
        whole += part
    return whole
