"""The two families of IP, under the names that each program and interface has for them."""

from __future__ import annotations

import enum
import socket


class Family(enum.Enum):
    """IPv4 or IPv6; the value is that of the parameter `family` of a variant."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @classmethod
    def of(cls, address: str) -> Family:
        """The family of an address."""
        return cls.IPV6 if ":" in address else cls.IPV4

    @property
    def nft(self) -> str:
        """Its name in nft's language."""
        return "ip6" if self is Family.IPV6 else "ip"

    @property
    def iptables(self) -> str:
        """The name of its iptables, to which frontend and verb are added."""
        return "ip6tables" if self is Family.IPV6 else "iptables"

    @property
    def af(self) -> int:
        """Its number in sockets and in netlink's headers."""
        return socket.AF_INET6 if self is Family.IPV6 else socket.AF_INET

    @property
    def header(self) -> int:
        """Bytes of its header, without options or extension headers."""
        return 40 if self is Family.IPV6 else 20

    def network(self, number: int, host: int) -> str:
        """The address of a host in the lab's network of that number: 10.0.1.2 for 1 and 2."""
        return f"2001:db8:{number}::{host}" if self is Family.IPV6 else f"10.0.{number}.{host}"

    def interface(self, number: int) -> str:
        """Address and prefix of a router in its network of that number: 10.0.1.1/24 for 1."""
        return f"{self.network(number, 1)}/{64 if self is Family.IPV6 else 24}"

    @property
    def client(self) -> str:
        """The address of a router's client."""
        return self.network(1, 2)

    @property
    def server(self) -> str:
        """The address of a router's server."""
        return self.network(2, 2)

    @property
    def local(self) -> str:
        """The address of a host, whose neighbour with number 2 is its gateway."""
        return "2001:db8:2::1" if self is Family.IPV6 else "192.0.2.1"

    @property
    def distant(self) -> str:
        """The address of a machine that a host reaches through its gateway."""
        return "2001:db8:18::2" if self is Family.IPV6 else "198.18.0.2"
