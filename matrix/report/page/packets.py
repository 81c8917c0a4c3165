"""Reads a capture file into a list of packets in words, for readers who do not want to open
Wireshark.

This module does not use scapy: a report of 20,000 cells holds some hundred thousand packets, and
scapy would need a minute to dissect them. A capture comes from a guest, so every length in it is
checked before it is used.
"""

from __future__ import annotations

import ipaddress
import struct
from functools import lru_cache
from typing import NamedTuple

from matrix.report.words import counted

MOST_PACKETS = 200
"""The page lists at most this many packets of one capture; the file has the rest."""

_LARGEST_PACKET = 262_144
_RAW_LINK_TYPES = {12, 14, 101, 228, 229}
_ETHERNET, _COOKED, _COOKED2 = 1, 113, 276
_OUTGOING = 4  # the packet type of a packet that the machine itself sends
_TCP_FLAGS = "FSRPAUEC"
_PROTOCOLS = {
    1: "ICMP",
    2: "IGMP",
    6: "TCP",
    17: "UDP",
    33: "DCCP",
    47: "GRE",
    58: "ICMPv6",
    132: "SCTP",
    136: "UDP-Lite",
}
_ICMP = {
    0: "echo reply",
    3: "unreachable",
    5: "redirect",
    8: "echo request",
    11: "time exceeded",
    12: "parameter problem",
}
_ICMP6 = {
    1: "unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem", 128: "echo request",
    129: "echo reply",
    130: "listener query", 131: "listener report", 133: "router solicitation", 134: "router advertisement",
    135: "neighbour solicitation",
    136: "neighbour advertisement", 143: "listener report v2",
}  # fmt: skip
_SCTP = {
    0: "DATA",
    1: "INIT",
    2: "INIT ACK",
    3: "SACK",
    4: "HEARTBEAT",
    5: "HEARTBEAT ACK",
    6: "ABORT",
    7: "SHUTDOWN",
    10: "COOKIE ECHO",
    11: "COOKIE ACK",
}


class Packet(NamedTuple):
    """One packet. `seconds` counts from the capture's first packet; `what` describes the payload in
    words; `length` is the packet's length on the wire in bytes.

    `place` is where the packet was captured, if the file names it: `in 2` for a packet that came in
    through the interface with index 2. A packet that a router forwards is captured twice.
    """

    seconds: float
    place: str
    source: str
    destination: str
    protocol: str
    what: str
    length: int


class NotACaptureError(ValueError):
    """The bytes are no pcap file, or a kind of pcap file that this module cannot read."""


def read_packets(content: bytes) -> tuple[list[Packet], bool]:
    """The packets of a pcap file (pcap-savefile(5)), at most MOST_PACKETS, and whether there are
    more.

    Of a file that was cut short, the whole packets are returned. Raises NotACaptureError.
    """
    magic = content[:4]
    if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
        order = "<"
    elif magic in (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d"):
        order = ">"
    else:
        raise NotACaptureError("it does not begin as a pcap file does")
    if len(content) < 24:
        raise NotACaptureError("its header is cut short")
    fraction = 1e-9 if b"\x3c" in magic else 1e-6
    link = struct.unpack_from(order + "I", content, 20)[0] & 0x0FFFFFFF
    packets: list[Packet] = []
    offset, start = 24, None
    while offset + 16 <= len(content):
        seconds, part, held, length = struct.unpack_from(order + "IIII", content, offset)
        offset += 16
        if held > _LARGEST_PACKET or offset + held > len(content):
            break
        if len(packets) == MOST_PACKETS:
            return packets, True
        time = seconds + part * fraction
        start = time if start is None else start
        packets.append(_packet(round(time - start, 6), content[offset : offset + held], link, length))
        offset += held
    return packets, False


@lru_cache(maxsize=4096)
def _address(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def _packet(seconds: float, data: bytes, link: int, length: int) -> Packet:
    source, destination, protocol, what = _network(data, link)
    return Packet(seconds, _place(data, link), source, destination, protocol, what, length)


def _place(data: bytes, link: int) -> str:
    """The direction and interface of a packet in a cooked capture (LINKTYPE_LINUX_SLL,
    LINKTYPE_LINUX_SLL2); empty for other captures.
    """
    if link == _COOKED2 and len(data) >= 20:
        return f"{'out' if data[10] == _OUTGOING else 'in'} {int.from_bytes(data[4:8], 'big')}"
    if link == _COOKED and len(data) >= 16:
        return "out" if data[1] == _OUTGOING else "in"
    return ""


def _network(data: bytes, link: int) -> tuple[str, str, str, str]:
    if link in _RAW_LINK_TYPES:
        header, ethertype = 0, 0
    elif link == _ETHERNET and len(data) >= 14:
        header, ethertype = 14, int.from_bytes(data[12:14], "big")
        if ethertype == 0x8100 and len(data) >= 18:
            header, ethertype = 18, int.from_bytes(data[16:18], "big")
    elif link == _COOKED and len(data) >= 16:
        header, ethertype = 16, int.from_bytes(data[14:16], "big")
    elif link == _COOKED2 and len(data) >= 20:
        header, ethertype = 20, int.from_bytes(data[:2], "big")
    else:
        return "", "", "?", f"link type {link}"
    data = data[header:]
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20 and ethertype in (0, 0x0800):
        return _ipv4(data)
    if version == 6 and len(data) >= 40 and ethertype in (0, 0x86DD):
        return _ipv6(data)
    if ethertype == 0x0806:
        return "", "", "ARP", ""
    return "", "", "?", f"ethertype 0x{ethertype:04x}" if ethertype else "cut short"


def _ipv4(data: bytes) -> tuple[str, str, str, str]:
    header = (data[0] & 15) * 4
    fragment = int.from_bytes(data[6:8], "big")
    total = int.from_bytes(data[2:4], "big")
    source, destination = _address(data[12:16]), _address(data[16:20])
    name = _PROTOCOLS.get(data[9], f"protocol {data[9]}")
    place = (
        f"fragment at {(fragment & 0x1FFF) * 8}{', more follow' if fragment & 0x2000 else ''}"
        if fragment & 0x3FFF
        else ""
    )
    if fragment & 0x1FFF:
        return source, destination, name, place
    return _transport(source, destination, data[9], name, data[header : max(total, header)], place)


def _ipv6(data: bytes) -> tuple[str, str, str, str]:
    source, destination = _address(data[8:24]), _address(data[24:40])
    following, offset, place = data[6], 40, ""
    for _ in range(8):
        if following in (0, 43, 60) and offset + 2 <= len(data):
            following, offset = data[offset], offset + 8 + data[offset + 1] * 8
        elif following == 44 and offset + 8 <= len(data):
            fragment = int.from_bytes(data[offset + 2 : offset + 4], "big")
            place = f"fragment at {fragment & 0xFFF8}{', more follow' if fragment & 1 else ''}"
            following, offset = data[offset], offset + 8
            if fragment & 0xFFF8:
                return source, destination, _PROTOCOLS.get(following, f"protocol {following}"), place
        else:
            break
    return _transport(
        source,
        destination,
        following,
        _PROTOCOLS.get(following, f"protocol {following}"),
        data[offset:],
        place,
    )


def _transport(
    source: str, destination: str, protocol: int, name: str, data: bytes, place: str
) -> tuple[str, str, str, str]:
    if protocol in (6, 17, 33, 132, 136) and len(data) >= 4:
        ports = struct.unpack_from(">HH", data)
        source = f"[{source}]:{ports[0]}" if ":" in source else f"{source}:{ports[0]}"
        destination = f"[{destination}]:{ports[1]}" if ":" in destination else f"{destination}:{ports[1]}"
    words = [_words(protocol, data), place]
    return source, destination, name, ", ".join(word for word in words if word)


def _words(protocol: int, data: bytes) -> str:
    if protocol == 6 and len(data) >= 20:
        sequence, acknowledged = struct.unpack_from(">II", data, 4)
        names = {
            "F": "FIN",
            "S": "SYN",
            "R": "RST",
            "P": "PSH",
            "A": "ACK",
            "U": "URG",
            "E": "ECE",
            "C": "CWR",
        }
        flags = [names[letter] for bit, letter in enumerate(_TCP_FLAGS) if data[13] >> bit & 1]
        payload = len(data) - (data[12] >> 4) * 4
        words = f"{' '.join(flags) or 'no flags'} seq {sequence}"
        return (
            words
            + (f" ack {acknowledged}" if data[13] & 16 else "")
            + (f", {counted(payload, 'byte')}" if payload > 0 else "")
        )
    if protocol in (17, 136) and len(data) >= 8:
        return counted(len(data) - 8, "byte")
    if protocol in (1, 58) and len(data) >= 2:
        known = (_ICMP if protocol == 1 else _ICMP6).get(data[0], f"type {data[0]}")
        return f"{known}, code {data[1]}" if data[1] else known
    if protocol == 132 and len(data) >= 13:
        return _SCTP.get(data[12], f"chunk {data[12]}")
    return ""
