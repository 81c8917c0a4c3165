"""A forwarding kernel between two tuns, and TCP conversations through it as short scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from guest.family import Family
from guest.lab import packets
from guest.lab.packets import Packet
from guest.lab.tun import Tun
from guest.observe.nft_counters import NamedCounters

LOST = "lost"
STATES = ("INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED")
_TABLE = "states"


def state_rules(family: Family) -> str:
    """An nft table that counts each forwarded packet under its conntrack state.

    Writing the state into the packet would save reading the counters, but on some kernels an
    ordinary user may not change packets.
    """
    counters = "; ".join(f"counter {state} {{ }}" for state in STATES)
    rules = "; ".join(f"ct state {state.lower()} counter name {state}" for state in STATES)
    chain = f"chain forward {{ type filter hook forward priority 300; {rules}; }}"
    return f"table {family.nft} {_TABLE} {{ {counters}; {chain}; }}\n"


def state_counters(family: Family) -> NamedCounters:
    """The counters of `state_rules` in the process's network namespace."""
    return NamedCounters(_TABLE, family.af)


class Router:
    """Two tuns with a forwarding kernel between them, a client behind one and a server behind the
    other.

    After each packet `out` holds the packets that left on the other side, and `back` those that the
    kernel sent back to the sender. Without `counters` every state is empty.
    """

    def __init__(
        self, client: Tun, server: Tun, family: Family, counters: NamedCounters | None = None
    ) -> None:
        self.client = client
        self.server = server
        self.family = family
        self.client_address = family.client
        self.server_address = family.server
        self.out: list[bytes] = []
        self.back: list[bytes] = []
        self._counters = counters
        self._counted: dict[str, int] = {}
        self._handed = 0

    def from_client(self, packet: Packet) -> str:
        """Sends a packet into the client's side: the conntrack state it was forwarded with, or
        `lost`.
        """
        return self._pass(packet, self.client, self.server)

    def from_server(self, packet: Packet) -> str:
        """Sends a packet into the server's side: the conntrack state it was forwarded with, or
        `lost`.
        """
        return self._pass(packet, self.server, self.client)

    def udp(self, sport: int = 40000, dport: int = 53) -> tuple[Packet, Packet]:
        """A UDP packet from client to server, and the answer to it."""
        client, server = (
            packets.endpoint(self.client_address, sport),
            packets.endpoint(self.server_address, dport),
        )
        return packets.udp(client, server), packets.udp(server, client)

    def tcp(
        self, sport: int = 40000, dport: int = 80, *, seq: int = 1000, server_seq: int = 5000
    ) -> tuple[Peer, Peer]:
        """Client and server of a TCP conversation that has not started."""
        return self.tcp_between(
            packets.endpoint(self.client_address, sport),
            packets.endpoint(self.server_address, dport),
            seq=seq,
            server_seq=server_seq,
        )

    def tcp_between(
        self, client: str, server: str, *, seq: int = 1000, server_seq: int = 5000
    ) -> tuple[Peer, Peer]:
        """Client and server of a TCP conversation between any two endpoints."""
        one = Peer(self.from_client, client, server, seq)
        other = Peer(self.from_server, server, client, server_seq)
        one.peer, other.peer = other, one
        return one, other

    def handshake(self, sport: int = 40000, dport: int = 80, **how: Any) -> tuple[Peer, Peer]:
        """Client and server of a TCP conversation after its three-way handshake."""
        client, server = self.tcp(sport, dport)
        client.syn(**how)
        server.synack(**how)
        client.ack()
        return client, server

    def late(self, side: Tun) -> str:
        """The conntrack state of packets that were held on the way and have left by `side` since,
        or `lost`.
        """
        return self._look(self.client if side is self.server else self.server, side)

    def _pass(self, packet: Packet, near: Tun, far: Tun) -> str:
        near.read()
        far.read()
        if self._handed != near.handed + far.handed:
            # Packets were sent directly through a tun: skip their counts before sending this one.
            self._moved()
        near.send(packet)
        return self._look(near, far)

    def _look(self, near: Tun, far: Tun) -> str:
        self.out, self.back = (tun.read() for tun in (far, near))
        state = self._moved()
        return state if self.out else LOST

    def _moved(self) -> str:
        self._handed = self.client.handed + self.server.handed
        if self._counters is None:
            return ""
        before, self._counted = self._counted, self._counters.packets()
        return " ".join(state for state in STATES if self._counted[state] > before.get(state, 0))


@dataclass
class Peer:
    """One end of a TCP conversation, at `endpoint`, that sends to `remote`.

    `seq` is the sequence number of its next segment. Each segment acknowledges all that `peer`, the
    other end, has sent, unless `seq` or `ack` say differently.

    Every method that sends returns the conntrack state with which the segment was forwarded, or
    `lost`.
    """

    forward: Callable[[Packet], str]
    endpoint: str
    remote: str
    seq: int
    peer: Peer | None = None
    window: int = 64240

    def send(
        self, flags: str, payload: int | bytes = 0, *, seq: int | None = None, ack: int | None = None,
        window: int | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> str:  # fmt: skip
        """Sends a segment with a payload of these bytes, or of that many.

        An explicit `seq` does not advance the peer's sequence number.
        """
        data = b"x" * payload if isinstance(payload, int) else payload
        number = self.seq if seq is None else seq
        if seq is None:
            self.seq += len(data) + ("S" in flags) + ("F" in flags)
        if ack is None:
            ack = self.peer.seq if self.peer and "A" in flags else 0
        size = self.window if window is None else window
        segment = packets.tcp(
            self.endpoint, self.remote, flags, seq=number, ack=ack, window=size, data=data, options=options
        )
        return self.forward(segment)

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
        """Sends PSH+ACK with these bytes, or with that many."""
        return self.send("PA", payload, **how)

    def fin(self, **how: Any) -> str:
        """FIN+ACK."""
        return self.send("FA", **how)

    def rst(self, **how: Any) -> str:
        """A bare RST at the peer's current sequence number."""
        return self.send("R", **how)
