"""Interfaces, addresses and routes over rtnetlink.

Source: rtnetlink(7), include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h and neighbour.h.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass

from guest import netlink
from guest.netlink import ACK, CREATE, EXCL, Netlink, attribute, attributes, nested

_NEWLINK, _GETLINK, _NEWADDR, _NEWROUTE, _NEWNEIGH = 16, 18, 20, 24, 28
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_STATS64 = 1, 3, 10, 18, 23
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_NODAD = 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_NDA_DST, _NDA_LLADDR = 1, 2
_NUD_PERMANENT = 0x80
_IFF_UP = 1


@dataclass(frozen=True)
class Counts:
    """Packets that an interface has received and sent."""

    received: int
    sent: int


class Links:
    """The interfaces of the network namespace in which this is made."""

    def __init__(self) -> None:
        self._netlink = Netlink(netlink.ROUTE)

    def close(self) -> None:
        """Closes the socket."""
        self._netlink.close()

    def add(self, name: str, kind: str) -> None:
        """Makes an interface of a kind such as bridge or dummy."""
        body = attribute(_IFLA_IFNAME, name) + nested(_IFLA_LINKINFO, attribute(1, kind))
        self._netlink.ask(_NEWLINK, bytes(16) + body, ACK | CREATE | EXCL)

    def up(self, name: str, *, master: str = "") -> None:
        """Sets an interface up, as a port of the bridge `master` if one is named."""
        body = attribute(_IFLA_MASTER, self._index(master)) if master else b""
        self._netlink.ask(_NEWLINK, struct.pack("=BxHiII", 0, 0, self._index(name), _IFF_UP, _IFF_UP) + body)

    def address(self, name: str, address: str, peer: str = "") -> None:
        """Adds an address (`10.0.1.1/24`) to an interface, or a point-to-point pair if a peer is
        named. With IPv6, duplicate address detection is skipped.
        """
        local = ipaddress.ip_interface(address)
        other = ipaddress.ip_address(peer) if peer else local.ip
        family = socket.AF_INET if local.version == 4 else socket.AF_INET6
        header = struct.pack("=BBBBi", family, local.network.prefixlen, 0, 0, self._index(name))
        body = attribute(_IFA_LOCAL, local.ip.packed) + attribute(_IFA_ADDRESS, other.packed)
        if local.version == 6:
            body += attribute(_IFA_FLAGS, _IFA_F_NODAD)
        self._netlink.ask(_NEWADDR, header + body, ACK | CREATE | EXCL)

    def route(self, destination: str, *, via: str = "", name: str = "") -> None:
        """Adds a route to a network, through a gateway or directly by an interface."""
        network = ipaddress.ip_network(destination)
        family = socket.AF_INET if network.version == 4 else socket.AF_INET6
        # main table, protocol static, unicast
        header = struct.pack("=BBBBBBBBI", family, network.prefixlen, 0, 0, 254, 4, 0 if via else 253, 1, 0)
        body = attribute(_RTA_DST, network.network_address.packed) if network.prefixlen else b""
        body += attribute(_RTA_GATEWAY, ipaddress.ip_address(via).packed) if via else b""
        body += attribute(_RTA_OIF, self._index(name)) if name else b""
        self._netlink.ask(_NEWROUTE, header + body, ACK | CREATE | EXCL)

    def neighbour(self, name: str, address: str, hardware: bytes) -> None:
        """Says which hardware address a neighbour on an Ethernet interface has, so that the kernel
        need not ask for it.
        """
        packed = ipaddress.ip_address(address).packed
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        header = struct.pack("=BxxxiHBB", family, self._index(name), _NUD_PERMANENT, 0, 0)
        body = attribute(_NDA_DST, packed) + attribute(_NDA_LLADDR, hardware)
        self._netlink.ask(_NEWNEIGH, header + body, ACK | CREATE | EXCL)

    def hardware(self, name: str) -> bytes:
        """The hardware address of an Ethernet interface."""
        return attributes(self._get(name)[16:])[_IFLA_ADDRESS]

    def counts(self, name: str) -> Counts:
        """The packet counters that the kernel has for the interface."""
        received, sent = struct.unpack_from("=QQ", attributes(self._get(name)[16:])[_IFLA_STATS64])
        return Counts(received, sent)

    def _index(self, name: str) -> int:
        # Not if_nametoindex(3), which looks in the namespace of the process, not in this one.
        (index,) = struct.unpack_from("=i", self._get(name), 4)
        return int(index)

    def _get(self, name: str) -> bytes:
        (message,) = self._netlink.ask(_GETLINK, bytes(16) + attribute(_IFLA_IFNAME, name), 0)
        return message.payload
