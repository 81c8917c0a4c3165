"""An NFQUEUE listener: packets wait in the kernel until the listener sends a verdict.

Source: include/uapi/linux/netfilter/nfnetlink_queue.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from guest import netlink
from guest.netlink import Netlink, attribute, attributes

_PACKET, _VERDICT, _CONFIG = 0x300, 0x301, 0x302
_PACKET_HEADER, _VERDICT_HEADER, _PAYLOAD = 1, 2, 10
_CFG_COMMAND, _CFG_PARAMETERS = 1, 2
_BIND, _COPY_PACKET = 1, 2
_ACCEPT = 1


@dataclass(frozen=True)
class Waiting:
    """A packet that waits for a verdict."""

    id: int
    data: bytes


class Queue:
    """Queue `number` of the network namespace in which this is made."""

    def __init__(self, number: int) -> None:
        self._netlink = Netlink(netlink.NETFILTER, receive_buffer=1 << 20)
        self._header = struct.pack(">BBH", 0, 0, number)
        self._configure(attribute(_CFG_COMMAND, struct.pack(">BxH", _BIND, 0)))
        self._configure(attribute(_CFG_PARAMETERS, struct.pack(">IB", 0xFFFF, _COPY_PACKET)))

    def waiting(self, count: int, seconds: float = 2.0) -> list[Waiting]:
        """The next packets of the queue, oldest first; fewer than `count` if no more come within
        `seconds`.
        """
        found: list[Waiting] = []
        for message in self._netlink.events(seconds):
            if message.type == _PACKET:
                parts = attributes(message.payload[4:])
                found.append(
                    Waiting(int.from_bytes(parts[_PACKET_HEADER][:4], "big"), parts.get(_PAYLOAD, b""))
                )
            if len(found) == count:
                break
        return found

    def accept(self, packet: Waiting, data: bytes = b"") -> None:
        """Accepts a packet; with `data`, the kernel goes on with these bytes instead of the
        packet's.
        """
        verdict = attribute(_VERDICT_HEADER, struct.pack(">II", _ACCEPT, packet.id))
        payload = attribute(_PAYLOAD, data) if data else b""
        self._netlink.ask(_VERDICT, self._header + verdict + payload)

    def close(self) -> None:
        """Closes the queue; the kernel drops packets still waiting."""
        self._netlink.close()

    def _configure(self, body: bytes) -> None:
        self._netlink.ask(_CONFIG, self._header + body)
