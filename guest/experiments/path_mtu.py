"""Path MTU through a gateway: who learns that a packet is too big, and what the error quotes."""

from __future__ import annotations

import struct
from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.packets import Packet, endpoint, ip, neighbour, parse, ports, split, tcp, udp
from guest.lab.router import LOST
from guest.lab.rules import tool

_SMALL, _IN_BETWEEN, _WHOLE = 1400, 1350, 1500
_TUNNELS = {
    Family.IPV4: {"ipip": ("ipip", "ttl 64"), "gre": ("gre", "ttl 64")},
    Family.IPV6: {"ipip": ("ip6tnl", "mode any encaplimit none"), "gre": ("ip6gre", "encaplimit none")},
}
_RULES = {"plain": "", "masquerade": 'oifname { "tun1", "t1" } masquerade'}
_QUOTED = {Family.IPV4: 576, Family.IPV6: 1232}


class PathMtu(Facts):
    """Facts of `path-mtu`."""

    link: Annotated[
        list[str],
        "per rules, the router's link to the server having MTU 1400: who is told about a datagram of 1500"
        " bytes, which MTU, and whether the error quotes its own endpoints, or which",
    ]
    answer: Annotated[list[str], "the same about the server's answer, the client's link having MTU 1400"]
    tunnel: Annotated[list[str], "the same, per tunnel, about one that does not fit into the tunnel"]
    outside: Annotated[
        list[str],
        "the same when a router in between says that its link takes 1350 bytes of the tunnel: at once,"
        " and when the datagram is sent again",
    ]
    mss: Annotated[dict[str, int], "per link and frontend: what a SYN's MSS of 1460 is clamped to"]


@experiment(variants={"family": FAMILIES}, modules=("ipip", "ip_gre", "ip6_tunnel", "ip6_gre"))
def path_mtu(lab: Lab) -> PathMtu:
    """Who learns that a packet is too big for a gateway's link or tunnel, and does NAT hide it?

    A client sends datagrams that must not be fragmented through a router, without NAT and
    masqueraded: to a link of MTU 1400, through an ipip and a gre tunnel that are too small for
    them, and through tunnels about whose own packets a router in between complains. Whoever is not
    told, or is told of endpoints that are not theirs, goes on sending: small packets work and large
    ones do not. `mss` is what rules that clamp the MSS of a SYN to the path's MTU make of it.
    """
    tunnels = _TUNNELS[lab.family]
    return PathMtu(
        link=[f"{rules}: {_link(lab, rules)}" for rules in _RULES],
        answer=[f"{rules}: {_answer(lab, rules)}" for rules in _RULES],
        tunnel=[f"{kind}, {rules}: {_tunnel(lab, kind, rules)}" for kind in tunnels for rules in _RULES],
        outside=[
            f"{kind}, {rules}, {line}"
            for kind in tunnels
            for rules in _RULES
            for line in _outside(lab, kind, rules)
        ],
        mss={
            f"{link}, {frontend}": _clamped(lab, link, frontend)
            for link in ("link", *tunnels)
            for frontend in ("nft", "iptables")
        },
    )


class _Gateway:
    """A router between a client and a far network, which is behind a tunnel if one is named."""

    def __init__(self, lab: Lab, rules: str = "plain", tunnel: str = "") -> None:
        self.place = lab.new_namespace()
        self.family = self.place.family
        self.router = self.place.router(states=False)
        self.client = endpoint(self.place.client, 40000)
        self.server = endpoint(self.family.network(9, 2), 53)
        self._sent = (self.client, self.server)
        if _RULES[rules]:
            self.place.chain("postrouting nat", _RULES[rules])
        lines = [f"route add {self.family.network(9, 2)} via {self.place.server}"]
        if tunnel:
            name, options = _TUNNELS[self.family][tunnel]
            own = neighbour(self.place.server, 1)
            lines = [
                f"link add t1 type {name} local {own} remote {self.place.server} {options}",
                "link set t1 up",
                f"address add {self.family.interface(8)} dev t1",
                f"route add {self.family.network(9, 2)} dev t1",
            ]
        self.run(*lines)

    def run(self, *lines: str) -> None:
        """Runs commands of ip."""
        with self.place.inside():
            version = "-6" if self.family is Family.IPV6 else "-4"
            tool("ip", version, "-batch", "-", text="".join(f"{line}\n" for line in lines))

    def send(self, size: int) -> str:
        """Sends a datagram of that length from the client: who is told what about it."""
        self._sent = (self.client, self.server)
        self.router.from_client(_datagram(*self._sent, size))
        return self.told()

    def answer(self, size: int) -> str:
        """Sends one from the server to where the last one came from, likewise."""
        seen = parse(self.router.out[0])
        self._sent = (self.server, endpoint(seen.src, seen.sport))
        self.router.from_server(_datagram(*self._sent, size))
        return self.told()

    def told(self) -> str:
        """Who was told what by what the router has sent since the last packet."""
        for data in (*self.router.back, *self.router.out):
            found = _error(data)
            if found:
                to, mtu, quoted = found
                names = {split(self.client)[0]: "client", split(self.server)[0]: "server"}
                own = "its own" if quoted == self._sent else " > ".join(quoted)
                return f"{names.get(to, to)}, {mtu}, {own}"
        return "nobody, forwarded" if self.router.out else f"nobody, {LOST}"


def _datagram(source: str, destination: str, size: int) -> Packet:
    """A datagram of that length, headers included, that must not be fragmented."""
    family = Family.of(split(source)[0])
    packet = udp(source, destination, bytes(size - family.header - 8))
    if family is Family.IPV4:
        packet.flags = "DF"
    return packet


def _error(data: bytes) -> tuple[str, int, tuple[str, str]] | None:
    """If a packet says that something was too big: to whom, which MTU, and the endpoints of the
    UDP datagram that it quotes.
    """
    if data[0] >> 4 == 6:
        if data[6] != 58 or data[40] != 2:
            return None
        (mtu,) = struct.unpack_from(">I", data, 44)
        quoted = data[48:]
    else:
        if data[9] != 1 or data[20:22] != b"\x03\x04":
            return None
        (mtu,) = struct.unpack_from(">H", data, 26)
        quoted = data[28:]
    inner = parse(quoted)
    sport, dport = ports(quoted)
    return parse(data).dst, mtu, (endpoint(inner.src, sport), endpoint(inner.dst, dport))


def _link(lab: Lab, rules: str) -> str:
    gateway = _Gateway(lab, rules)
    gateway.run(f"link set tun1 mtu {_SMALL}")
    return gateway.send(_WHOLE)


def _answer(lab: Lab, rules: str) -> str:
    gateway = _Gateway(lab, rules)
    gateway.run(f"link set tun0 mtu {_SMALL}")
    gateway.send(100)
    return gateway.answer(_WHOLE)


def _tunnel(lab: Lab, tunnel: str, rules: str) -> str:
    return _Gateway(lab, rules, tunnel).send(_WHOLE)


def _outside(lab: Lab, tunnel: str, rules: str) -> list[str]:
    gateway = _Gateway(lab, rules, tunnel)
    gateway.send(_SMALL)
    if not gateway.router.out:
        raise RuntimeError("a datagram that fits into the tunnel is not forwarded")
    outer = gateway.router.out[0]
    source, between = parse(outer).src, neighbour(gateway.place.server, 9)
    gateway.router.from_server(
        ip(between, source) / _complaint(gateway.family) / outer[: _QUOTED[gateway.family]]
    )
    return [f"at once: {gateway.told()}", f"again: {gateway.send(_SMALL)}"]


def _complaint(family: Family) -> Packet:
    if family is Family.IPV6:
        from scapy.layers.inet6 import ICMPv6PacketTooBig

        return ICMPv6PacketTooBig(mtu=_IN_BETWEEN)
    from scapy.layers.inet import ICMP

    return ICMP(type=3, code=4, nexthopmtu=_IN_BETWEEN)


def _clamped(lab: Lab, link: str, frontend: str) -> int:
    """The MSS of a client's SYN behind a rule that clamps it; -1 if it is lost."""
    gateway = _Gateway(lab, tunnel="" if link == "link" else link)
    if link == "link":
        gateway.run(f"link set tun1 mtu {_SMALL}")
    if frontend == "nft":
        gateway.place.chain("forward mangle", "tcp flags syn tcp option maxseg size set rt mtu")
    else:
        gateway.place.iptables(
            "*mangle\n-A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"
        )
    gateway.router.from_client(tcp(gateway.client, gateway.server, options=[("MSS", 1460)]))
    if not gateway.router.out:
        return -1
    segment = bytes(gateway.router.out[0])
    # Behind all headers that a tunnel has put before it.
    start = segment.rindex(struct.pack(">HH", 40000, 53))
    return int.from_bytes(segment[start + 22 : start + 24], "big")
