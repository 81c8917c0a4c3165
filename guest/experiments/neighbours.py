"""The flowtable and neighbours: where the fast path sends to when a hardware address changes."""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.errors import Unsupported
from guest.family import Family
from guest.lab.ethernet import Machine, hardware
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import endpoint, tcp, udp
from guest.lab.rules import tool

_CHANGED = "02:00:00:00:00:09"
_CASES = ("flushed", "failed", "announced", "unannounced")
_PROTOCOLS = ("tcp", "udp")
_NOWHERE = bytes(6)


class FlowtableNeighbour(Facts):
    """Facts of `flowtable-neighbour`."""

    asked: Annotated[dict[str, int], "per case: questions for the server's hardware address"]
    delivered: Annotated[dict[str, int], "per case: packets of four that the server's hardware address gets"]
    to_old: Annotated[dict[str, int], "per case: those sent to the address that it had before"]
    to_zero: Annotated[dict[str, int], "per case: those sent to 00:00:00:00:00:00, which nobody has"]
    offloaded_after: Annotated[dict[str, int], "per case: 1 if the flow is on the fast path after them"]


@experiment(
    variants={"fast": ("flowtable", "none"), "family": FAMILIES},
    modules=("nf_flow_table", "nft_flow_offload", "nf_flow_table_inet"),
)
def flowtable_neighbour(lab: Lab) -> FlowtableNeighbour:
    """Does the fast path notice that a neighbour's hardware address is not known any more, or has
    changed?

    A router between two Ethernet wires; a TCP and a UDP flow, on the fast path or (none) without a
    flowtable. The server's neighbour entry is flushed, or set to failed; or its hardware address
    changes, with an announcement or without. Then four packets come from the client, and questions
    are answered. Long connections stall behind a router that goes on to use what it knew.
    """
    found: dict[str, dict[str, int]] = {
        name: {} for name in ("asked", "delivered", "to_old", "to_zero", "offloaded_after")
    }
    for case in _CASES:
        for protocol in _PROTOCOLS:
            for name, value in _ask(lab.new_namespace(), case, protocol).items():
                found[name][f"{case} {protocol}"] = value
    return FlowtableNeighbour(**found)


class _Wires:
    """A router between a client's wire and a server's, and one flow through it."""

    def __init__(self, place: Namespace, protocol: str) -> None:
        self.place = place
        self.protocol = protocol
        family = place.family
        for name, value in _SYSCTLS.items():
            place.sysctl(name, value)
        self.client = Machine(place, "lan", family.client, family.interface(1))
        self.server = Machine(place, "wan", family.server, family.interface(2))
        # A change is believed at once, not only a second after the last one.
        place.sysctl("net/ipv4/neigh/wan/locktime", 0)
        self.client.hardware = "02:00:00:00:00:01"
        self._ends = endpoint(family.client, 40000), endpoint(family.server, 80)
        self._seq = 1001

    def converse(self) -> None:
        """Packets both ways, until the flow is on the fast path if there is one."""
        there, back = self._ends
        if self.protocol == "tcp":
            self._pass(self.client, tcp(there, back, "S", seq=1000))
            self._pass(self.server, tcp(back, there, "SA", seq=5000, ack=1001))
            self._pass(self.client, tcp(there, back, "A", seq=1001, ack=5001))
        for _ in range(3):
            self.push()
            back_packet = (
                tcp(back, there, "A", seq=5001, ack=self._seq) if self.protocol == "tcp" else udp(back, there)
            )
            self._pass(self.server, back_packet)

    def push(self) -> list[bytes]:
        """One packet of the client with data: the hardware addresses to which it goes."""
        there, back = self._ends
        packet = udp(there, back)
        if self.protocol == "tcp":
            packet = tcp(there, back, "PA", seq=self._seq, ack=5001, data=bytes(100))
            self._seq += 100
        return self._pass(self.client, packet)

    def offloaded(self) -> bool:
        """Whether the flow is on the fast path."""
        return "OFFLOAD" in self.place.flow(self._ends[0]).status

    def _pass(self, sender: Machine, packet: object) -> list[bytes]:
        receiver = self.server if sender is self.client else self.client
        sender.send(packet)
        return [address for address, _ in receiver.receive()]


_SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv6/conf/all/forwarding": 1,
    "net/ipv6/conf/default/dad_transmits": 0,
    "net/ipv6/conf/default/router_solicitations": 0,
}


def _ask(place: Namespace, case: str, protocol: str) -> dict[str, int]:
    wires = _Wires(place, protocol)
    fast = place.variant["fast"] == "flowtable"
    added = "ct state established meta l4proto { tcp, udp } flow add @f" if fast else ""
    flowtable = "flowtable f { hook ingress priority 0; devices = { lan, wan }; }" if fast else ""
    place.nft(f"table {place.ip} fast {{ {flowtable}\nchain c {{ type filter hook forward priority 0;\n"
              f"ct state new\n{added}\n}}\n}}")  # fmt: skip
    wires.converse()
    if wires.offloaded() != fast:
        raise Unsupported("the flow is not where it should be before the neighbour changes")
    server = wires.server
    old, server.asked = server.hardware, 0
    _change(place, server, case)
    sent = [address for _ in range(4) for address in wires.push()]
    return {
        "asked": server.asked,
        "delivered": sent.count(hardware(server.hardware)),
        "to_old": sent.count(hardware(old)) if server.hardware != old else 0,
        "to_zero": sent.count(_NOWHERE),
        "offloaded_after": int(wires.offloaded()),
    }


def _change(place: Namespace, server: Machine, case: str) -> None:
    family = "-6" if place.family is Family.IPV6 else "-4"
    if case in ("flushed", "failed"):
        how = (
            ["flush", "dev", "wan"]
            if case == "flushed"
            else ["change", server.address, "dev", "wan", "nud", "failed"]
        )
        with place.inside():
            tool("ip", family, "neigh", *how)
        return
    server.hardware = _CHANGED
    if case == "announced":
        server.announce()
        server.receive()
