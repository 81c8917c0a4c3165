"""A router whose both ends are crafted, and TCP conversations through it written as short scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from guest.lab import packets
from guest.lab.packets import Packet
from guest.lab.tun import Tun

LOST = "lost"
# Each forwarded packet carries its own conntrack state in its DSCP field: no counter need be read between two packets.
STATES = {"INVALID": 1, "NEW": 2, "ESTABLISHED": 3, "RELATED": 4, "UNTRACKED": 5}
_BY_DSCP = {dscp: state for state, dscp in STATES.items()}


def state_rules(family: int = 4) -> str:
    """An nft table that writes each forwarded packet's conntrack state into its DSCP field."""
    ip = "ip" if family == 4 else "ip6"
    rules = "; ".join(f"ct state {state.lower()} {ip} dscp set {dscp}" for state, dscp in STATES.items())
    return f"table {ip} states {{ chain forward {{ type filter hook forward priority 300; {rules}; }}; }}\n"


def state_of(data: bytes) -> str:
    """The conntrack state that `state_rules` wrote into a packet; empty if none is written there."""
    traffic_class = data[1] if data[0] >> 4 == 4 else (data[0] & 15) << 4 | data[1] >> 4
    return _BY_DSCP.get(traffic_class >> 2, "")


def _router_s_own(data: bytes) -> bool:
    """Whether it is a multicast listener report, which an IPv6 router sends by itself: nothing else here has a hop-by-hop header."""
    return data[0] >> 4 == 6 and data[6] == 0


class Router:
    """Two tuns with a forwarding kernel between them, a client behind one and a server behind the other.

    After each packet `out` holds what left on the other side, and `back` what the kernel sent back to where the packet came from.
    """

    def __init__(self, client: Tun, server: Tun, addresses: tuple[str, str]) -> None:
        self.client = client
        self.server = server
        self.client_address, self.server_address = addresses
        self.out: list[bytes] = []
        self.back: list[bytes] = []

    def from_client(self, packet: Packet) -> str:
        """Sends a packet into the client's side: the conntrack state it was forwarded with, or `lost`."""
        return self._pass(packet, self.client, self.server)

    def from_server(self, packet: Packet) -> str:
        """Sends a packet into the server's side: the conntrack state it was forwarded with, or `lost`."""
        return self._pass(packet, self.server, self.client)

    def tcp(self, sport: int = 40000, dport: int = 80, *, seq: int = 1000, server_seq: int = 5000) -> tuple[Peer, Peer]:
        """A TCP conversation that has not begun: its client and its server."""
        return self.tcp_between(
            packets.endpoint(self.client_address, sport), packets.endpoint(self.server_address, dport), seq=seq, server_seq=server_seq
        )

    def tcp_between(self, client: str, server: str, *, seq: int = 1000, server_seq: int = 5000) -> tuple[Peer, Peer]:
        """A TCP conversation between two endpoints of one's choice."""
        one = Peer(self.from_client, client, server, seq)
        other = Peer(self.from_server, server, client, server_seq)
        one.partner, other.partner = other, one
        return one, other

    def handshake(self, sport: int = 40000, dport: int = 80, **how: Any) -> tuple[Peer, Peer]:
        """A TCP conversation whose three-way handshake has gone through."""
        client, server = self.tcp(sport, dport)
        client.syn(**how)
        server.synack(**how)
        client.ack()
        return client, server

    def _pass(self, packet: Packet, near: Tun, far: Tun) -> str:
        near.read()
        far.read()
        near.send(packet)
        self.out, self.back = [[data for data in tun.read() if not _router_s_own(data)] for tun in (far, near)]
        return state_of(self.out[0]) if self.out else LOST


@dataclass
class Peer:
    """One end of a conversation. It numbers its own segments and acknowledges all its partner has sent, unless told otherwise.

    Every verb returns the conntrack state with which the segment was forwarded, or `lost`.
    """

    forward: Callable[[Packet], str]
    me: str
    other: str
    next: int
    partner: Peer | None = None
    window: int = 64240

    def send(
        self, flags: str, payload: int | bytes = 0, *, seq: int | None = None, ack: int | None = None, window: int | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> str:  # fmt: skip
        """Sends any segment, its payload given as bytes or as their number.

        With a `seq` of its own it does not move the peer's numbering.
        """
        data = b"x" * payload if isinstance(payload, int) else payload
        number = self.next if seq is None else seq
        if seq is None:
            self.next += len(data) + ("S" in flags) + ("F" in flags)
        if ack is None:
            ack = self.partner.next if self.partner and "A" in flags else 0
        size = self.window if window is None else window
        return self.forward(packets.tcp(self.me, self.other, flags, seq=number, ack=ack, window=size, data=data, options=options))

    def syn(self, **how: Any) -> str:
        """SYN."""
        return self.send("S", **how)

    def synack(self, **how: Any) -> str:
        """SYN+ACK."""
        return self.send("SA", **how)

    def ack(self, **how: Any) -> str:
        """A bare ACK."""
        return self.send("A", **how)

    def data(self, payload: int | bytes, **how: Any) -> str:
        """PSH+ACK with some bytes, or with that many."""
        return self.send("PA", payload, **how)

    def fin(self, **how: Any) -> str:
        """FIN+ACK."""
        return self.send("FA", **how)

    def rst(self, **how: Any) -> str:
        """A bare RST at the peer's current sequence number."""
        return self.send("R", **how)
