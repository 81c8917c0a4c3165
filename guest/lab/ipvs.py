"""IPVS over generic netlink: services and the servers behind them.

Source: include/uapi/linux/ip_vs.h, include/uapi/linux/genetlink.h.
"""

from __future__ import annotations

import ipaddress
import struct

from guest.lab.packets import split
from guest.netlink import ACK, Netlink, attribute, attributes, nested

_GENERIC, _CONTROL, _GET_FAMILY = 16, 16, 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
_NEW_SERVICE, _NEW_SERVER, _SET_SERVER, _DELETE_SERVER = 1, 5, 6, 7
_SERVICE, _SERVER = 1, 2
_AF, _PROTOCOL, _ADDRESS, _PORT, _SCHEDULER, _FLAGS, _TIMEOUT, _NETMASK = 1, 2, 3, 4, 6, 7, 8, 9
_TO_ADDRESS, _TO_PORT, _METHOD, _WEIGHT, _UPPER, _LOWER, _TO_AF = 1, 2, 3, 4, 5, 6, 11
_PERSISTENT = 1
_MASQUERADE = 0


class Ipvs:
    """The IPVS of the network namespace in which this is made."""

    def __init__(self) -> None:
        self._netlink = Netlink(_GENERIC)
        asked = struct.pack("=BBH", _GET_FAMILY, 1, 0) + attribute(_FAMILY_NAME, "IPVS")
        (answer,) = self._netlink.ask(_CONTROL, asked, 0)
        (self._family,) = struct.unpack("=H", attributes(answer.payload[4:])[_FAMILY_ID])

    def service(self, protocol: int, endpoint: str, *, persistent: int = 0) -> Service:
        """Adds a service that hands connections to its servers in turn (round robin).

        With `persistent`, a client comes back to its server for that many seconds.
        """
        address, port = split(endpoint)
        packed = ipaddress.ip_address(address)
        named = nested(
            _SERVICE,
            attribute(_AF, struct.pack("=H", 2 if packed.version == 4 else 10)),
            attribute(_PROTOCOL, struct.pack("=H", protocol)),
            attribute(_ADDRESS, packed.packed.ljust(16, b"\0")),
            attribute(_PORT, struct.pack(">H", port)),
            attribute(_SCHEDULER, "rr"),
            attribute(_FLAGS, struct.pack("=II", _PERSISTENT if persistent else 0, 0xFFFFFFFF)),
            attribute(_TIMEOUT, persistent),
            attribute(_NETMASK, 0xFFFFFFFF if packed.version == 4 else 128),
        )
        self.ask(_NEW_SERVICE, named)
        return Service(self, named)

    def ask(self, command: int, body: bytes) -> None:
        """Sends one command. Raises OSError with the kernel's errno."""
        self._netlink.ask(self._family, struct.pack("=BBH", command, 1, 0) + body, ACK)

    def close(self) -> None:
        """Closes the socket; services stay."""
        self._netlink.close()


class Service:
    """One service, whose servers get translated packets (NAT)."""

    def __init__(self, ipvs: Ipvs, named: bytes) -> None:
        self._ipvs = ipvs
        self._named = named

    def add(self, endpoint: str, weight: int = 1) -> None:
        """Adds a server."""
        self._ask(_NEW_SERVER, endpoint, weight)

    def weigh(self, endpoint: str, weight: int) -> None:
        """Gives a server another weight; with 0 it gets no new connections."""
        self._ask(_SET_SERVER, endpoint, weight)

    def remove(self, endpoint: str) -> None:
        """Removes a server."""
        self._ask(_DELETE_SERVER, endpoint, 0)

    def _ask(self, command: int, endpoint: str, weight: int) -> None:
        address, port = split(endpoint)
        packed = ipaddress.ip_address(address)
        server = nested(
            _SERVER,
            attribute(_TO_ADDRESS, packed.packed.ljust(16, b"\0")),
            attribute(_TO_PORT, struct.pack(">H", port)),
            attribute(_METHOD, _MASQUERADE),
            attribute(_WEIGHT, weight),
            attribute(_UPPER, 0),
            attribute(_LOWER, 0),
            attribute(_TO_AF, struct.pack("=H", 2 if packed.version == 4 else 10)),
        )
        self._ipvs.ask(command, self._named + server)
