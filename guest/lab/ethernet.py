"""Ethernet: frames, and a bridge between two taps whose far ends the experiment plays."""

from __future__ import annotations

from guest.lab.namespace import Namespace
from guest.lab.packets import Packet
from guest.lab.tun import Tun

CLIENT, SERVER = "02:00:00:00:00:01", "02:00:00:00:00:02"
"""The hardware addresses of the machines at the ends of the two wires."""


def frame(packet: Packet, source: str = CLIENT, destination: str = SERVER) -> bytes:
    """A packet in an Ethernet frame between two hardware addresses."""
    from scapy.layers.l2 import Ether

    return bytes(Ether(src=source, dst=destination) / packet)


def hardware(address: str) -> bytes:
    """The six bytes of a hardware address."""
    return bytes.fromhex(address.replace(":", ""))


def bridge(place: Namespace) -> tuple[Tun, Tun]:
    """br0 with the taps port1 and port2: a client's wire and a server's. The bridge has no address,
    and IPv6 is off, so that the kernel sends nothing of its own.
    """
    place.sysctl("net/ipv6/conf/all/disable_ipv6", 1)
    place.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
    with place.inside():
        place.links.add("br0", "bridge")
        taps = place.device("port1", tap=True), place.device("port2", tap=True)
        for tap in taps:
            place.links.up(tap.name, master="br0")
        place.links.up("br0")
    return taps
