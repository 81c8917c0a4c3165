"""Writes captures that Wireshark and tcpdump open.

Linux cooked capture v2 (LINKTYPE_LINUX_SLL2) frames each packet with the interface it passed and
its direction; raw IP would lose both. Source:
https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html and pcap-savefile(5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

_MAGIC_NANOSECONDS = 0xA1B23C4D
_LINUX_SLL2 = 276
_ARPHRD = {"ip": 0xFFFE, "ethernet": 1}  # a tun device has no link layer: ARPHRD_NONE
_TO_US, _FROM_US = 0, 4


@dataclass(frozen=True)
class Captured:
    """One packet: seconds since the epoch, the interface's index, whether the kernel received it,
    and its bytes.
    """

    time: float
    interface: int
    received: bool
    data: bytes
    ethernet: bool = False


def pcap(packets: Iterable[Captured]) -> bytes:
    """A pcap file with nanosecond stamps."""
    parts = [struct.pack("<IHHiIII", _MAGIC_NANOSECONDS, 2, 4, 0, 0, 262144, _LINUX_SLL2)]
    for packet in packets:
        seconds, rest = divmod(packet.time, 1)
        data, protocol, address = (
            packet.data,
            0x86DD if packet.data[:1] and packet.data[0] >> 4 == 6 else 0x0800,
            b"",
        )
        if packet.ethernet:
            address, protocol, data = data[6:12], int.from_bytes(data[12:14], "big"), data[14:]
        cooked = struct.pack(
            ">HHIHBB8s", protocol, 0, packet.interface, _ARPHRD["ethernet" if packet.ethernet else "ip"],
            _TO_US if packet.received else _FROM_US, len(address), address,
        )  # fmt: skip
        length = len(cooked) + len(data)
        parts.append(struct.pack("<IIII", int(seconds), int(rest * 1e9), length, length) + cooked + data)
    return b"".join(parts)
