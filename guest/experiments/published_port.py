"""A container's published port, as Docker programs it: who reaches it, and from which address."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab.ethernet import CLIENT, SERVER, frame, hardware
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import endpoint, parse, tcp
from guest.lab.router import LOST

_CONTAINER, _OTHER, _GATEWAY = "10.0.1.2", "10.0.1.3", "10.0.1.1"
_OUTSIDE, _HOST, _LOOPBACK = "10.0.2.2", "10.0.2.1", "127.0.0.1"
_PORT, _PUBLISHED = 80, 8080
_RULES = f"""
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -o br0 -m addrtype --src-type LOCAL -j MASQUERADE
-A POSTROUTING -s 10.0.1.0/24 ! -o br0 -j MASQUERADE
-A POSTROUTING -s {_CONTAINER}/32 -d {_CONTAINER}/32 -p tcp --dport {_PORT} -j MASQUERADE
-A DOCKER -p tcp --dport {_PUBLISHED} -j DNAT --to-destination {_CONTAINER}:{_PORT}
*filter
-A FORWARD -o br0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -d {_CONTAINER}/32 -o br0 -p tcp --dport {_PORT} -j ACCEPT
-A FORWARD -i br0 -j ACCEPT
"""
_NAMES = {
    _CONTAINER: "the container's",
    _OTHER: "the other's",
    _GATEWAY: "the bridge's",
    _OUTSIDE: "the outsider's",
    _HOST: "the host's",
    _LOOPBACK: "the loopback's",
}


class PublishedPort(Facts):
    """Facts of `published-port`."""

    source: Annotated[list[str], "per origin of a SYN: whose address the container sees"]
    answer: Annotated[
        list[str],
        "per origin: whose address the answer has where the SYN came from, or what the program gets",
    ]


@experiment(variants={"bridge_nf": ("0", "1")}, modules=("bridge", "br_netfilter"))
def published_port(lab: Lab) -> PublishedPort:
    """Who reaches a container's published port by the host's address, and whom does it see?

    A bridge with two containers, and the rules that Docker makes without its proxy. A SYN to the
    host's address comes from outside, from the other container and from the container itself; a
    program of the host connects to that address, and to 127.0.0.1 (route_localnet is 1). The
    container answers whom it sees, over the bridge if that is its neighbour. `bridge_nf` is
    bridge-nf-call-iptables: where it is 0, such an answer is not translated back.
    """
    source, answer = [], []
    for name, origin in _ORIGINS.items():
        host = _Host(lab.new_namespace())
        seen, answered = origin(host)
        source.append(f"{name}: {_NAMES.get(seen, seen)}")
        answer.append(f"{name}: {_NAMES.get(answered, answered)}")
    return PublishedPort(source=source, answer=answer)


class _Host:
    """The host, the wires of its two containers, and the world outside."""

    def __init__(self, place: Namespace) -> None:
        self.place = place
        for name, value in _SYSCTLS.items():
            place.sysctl(name, value)
        with place.inside():
            place.links.add("br0", "bridge")
        self.wires = [place.device(name, tap=True) for name in ("port1", "port2")]
        with place.inside():
            for wire in self.wires:
                place.links.up(wire.name, master="br0")
            place.links.up("br0")
            place.links.address("br0", f"{_GATEWAY}/24")
            for address, mac in ((_CONTAINER, CLIENT), (_OTHER, SERVER)):
                place.links.neighbour("br0", address, hardware(mac))
        self.outside = place.tun("tun1")
        self._own = place.links.hardware("br0").hex(":")
        place.sysctl("net/bridge/bridge-nf-call-iptables", place.variant["bridge_nf"])
        place.iptables(_RULES)

    def from_outside(self) -> tuple[str, str]:
        """A SYN from outside."""
        self.outside.send(tcp(f"{_OUTSIDE}:40000", f"{_HOST}:{_PUBLISHED}"))
        seen = self._container()
        return seen, self._source(self.outside.read())

    def from_container(self, number: int) -> tuple[str, str]:
        """A SYN from one of the containers."""
        address, mac = ((_CONTAINER, CLIENT), (_OTHER, SERVER))[number]
        wire = self.wires[number]
        wire.read()
        wire.send(frame(tcp(f"{address}:40000", f"{_HOST}:{_PUBLISHED}"), mac, self._own))
        seen = self._container()
        return seen, self._source([data[14:] for data in wire.read() if _is_tcp(data)])

    def from_program(self, address: str) -> tuple[str, str]:
        """A connection of a program of the host."""
        with self.place.inside(), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as program:
            program.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                program.connect((address, _PUBLISHED))
            seen = self._container()
            try:
                program.getpeername()
            except OSError:
                return seen, "no connection"
            return seen, "a connection"

    def _container(self) -> str:
        """Answers a SYN in the container: from which address it comes."""
        wire = self.wires[0]
        found = [parse(data[14:]) for data in wire.read() if _is_tcp(data)]
        syns = [packet for packet in found if packet["TCP"].flags == "S"]
        if not syns:
            return LOST
        syn = syns[0]
        mac = SERVER if syn.src == _OTHER else self._own
        ends = endpoint(_CONTAINER, _PORT), endpoint(syn.src, syn.sport)
        wire.send(frame(tcp(*ends, "SA", seq=5000, ack=syn["TCP"].seq + 1), CLIENT, mac))
        return str(syn.src)

    def _source(self, packets: list[bytes]) -> str:
        sources = [packet.src for packet in map(parse, packets) if packet["TCP"].flags == "SA"]
        return sources[0] if sources else LOST


_SYSCTLS = {
    "net/ipv6/conf/all/disable_ipv6": 1,
    "net/ipv6/conf/default/disable_ipv6": 1,
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv4/conf/all/route_localnet": 1,
    "net/ipv4/conf/default/route_localnet": 1,
    "net/ipv4/conf/all/send_redirects": 0,
    "net/ipv4/conf/default/send_redirects": 0,
}
_ORIGINS: dict[str, Callable[[_Host], tuple[str, str]]] = {
    "outside": _Host.from_outside,
    "other container": lambda host: host.from_container(1),
    "the container": lambda host: host.from_container(0),
    "host by its address": lambda host: host.from_program(_HOST),
    "host by 127.0.0.1": lambda host: host.from_program(_LOOPBACK),
}


def _is_tcp(data: bytes) -> bool:
    return data[12:14] == b"\x08\x00" and data[23] == 6
