"""A tun or tap device whose wire is in our hands: what is sent here the kernel receives, and what
it sends can be read here.
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


def _kernel_s_own(data: bytes) -> bool:
    """Whether it is a multicast listener report, which an IPv6 kernel sends when it likes: nothing
    else here has a hop-by-hop header.
    """
    return data[0] >> 4 == 6 and data[6] == 0


class Tun:
    """One device.

    The kernel handles a packet within the write that hands it over, so an answer can be read right
    after.
    """

    def __init__(self, name: str, record: Callable[[Captured], None], *, tap: bool = False) -> None:
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
        self.handed = 0
        """How many packets the kernel was given."""

    def send(self, *packets: SupportsBytes) -> None:
        """Lets the kernel receive packets: scapy's or bytes."""
        for packet in packets:
            data = bytes(packet)
            self._record(Captured(time.time(), self.index, True, data, self.tap))
            os.write(self._fd, data)
        self.handed += len(packets)

    def flood(self, packets: list[bytes]) -> None:
        """Lets the kernel receive many packets as fast as it can. They do not enter the capture."""
        write, fd = os.write, self._fd
        for data in packets:
            write(fd, data)
        self.handed += len(packets)

    def read(self) -> list[bytes]:
        """What the kernel has sent since the last call, oldest first.

        A tun leaves out what IPv6 sends by itself; the capture has it.
        """
        found: list[bytes] = []
        while True:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return found
            self._record(Captured(time.time(), self.index, False, data, self.tap))
            if self.tap or not _kernel_s_own(data):
                found.append(data)

    def close(self) -> None:
        """Takes the device away."""
        os.close(self._fd)
