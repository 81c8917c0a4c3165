"""A tun or tap device: the kernel receives the packets sent here, and those that it sends are read
here.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import SupportsBytes

from guest.observe.pcap import Captured

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_TAP, _IFF_NO_PI = 0x1, 0x2, 0x1000


def _is_mld_report(data: bytes) -> bool:
    """Whether a packet is a multicast listener report, which an IPv6 kernel sends unasked: no other
    packet here has a hop-by-hop header.
    """
    return data[0] >> 4 == 6 and data[6] == 0


class Tun:
    """One device.

    The kernel handles a packet within the write that hands it over, so that an answer can be read
    right after it. A control may have put something else in the place of what is sent: `wire` makes
    that of each packet, `back` of each that is read, and `after` is called after each sent.
    """

    def __init__(
        self,
        name: str,
        record: Callable[[Captured], None],
        *,
        tap: bool = False,
        wire: Callable[[bytes], list[bytes]] | None = None,
        back: Callable[[bytes], list[bytes]] | None = None,
        after: Callable[[], object] | None = None,
    ) -> None:
        self.name = name
        self.tap = tap
        self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(
            self._fd,
            _TUNSETIFF,
            struct.pack("16sH22x", name.encode(), (_IFF_TAP if tap else _IFF_TUN) | _IFF_NO_PI),
        )
        self.index = socket.if_nametoindex(name)
        self._record = record
        self._wire = wire
        self._back = back
        self._after = after
        self.handed = 0
        """How many packets were handed to the kernel."""

    def send(self, *packets: SupportsBytes) -> None:
        """Hands packets to the kernel, as scapy packets or bytes."""
        for packet in packets:
            data = bytes(packet)
            self._record(Captured(time.time(), self.index, True, data, self.tap))
            self._hand(data)

    def flood(self, packets: list[bytes]) -> None:
        """Hands many packets to the kernel as fast as possible. They are not in the capture."""
        if self._wire or self._after:
            for data in packets:
                self._hand(data)
            return
        write, fd = os.write, self._fd
        for data in packets:
            write(fd, data)
        self.handed += len(packets)

    def _hand(self, data: bytes) -> None:
        for handed in self._wire(data) if self._wire else (data,):
            os.write(self._fd, handed)
            self.handed += 1
            if self._after:
                self._after()

    def read(self) -> list[bytes]:
        """The packets that the kernel has sent since the last call, oldest first.

        From a tun, multicast listener reports are left out; the capture has them.
        """
        found: list[bytes] = []
        while True:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return found
            self._record(Captured(time.time(), self.index, False, data, self.tap))
            if self.tap or not _is_mld_report(data):
                found += self._back(data) if self._back else [data]

    def close(self) -> None:
        """Removes the device."""
        os.close(self._fd)
