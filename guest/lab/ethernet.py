"""Ethernet: frames, a bridge between two taps, and machines at the far ends of taps."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct

from guest.lab.namespace import Namespace
from guest.lab.packets import Packet, ip
from guest.lab.tun import Tun

CLIENT, SERVER = "02:00:00:00:00:01", "02:00:00:00:00:02"
"""The hardware addresses of the machines at the ends of the two wires."""
_EVERYBODY, _ALL_NODES = "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"
_HOP_BY_HOP, _ICMPV6 = 0, 58
_SIOCGIFHWADDR = 0x8927


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
        taps = Tun("port1", place.journal.packet, tap=True), Tun("port2", place.journal.packet, tap=True)
        for tap in taps:
            place.links.up(tap.name, master="br0")
        place.links.up("br0")
    return taps


class Machine:
    """A machine at the far end of a tap, with one address: it answers ARP and neighbour discovery
    for it. `asked` counts the questions; `hardware` may change, as when another takes over.
    """

    def __init__(self, place: Namespace, name: str, address: str, own: str) -> None:
        """Makes the tap `name`, whose near end has the address `own` (`10.0.1.1/24`)."""
        with place.inside():
            self.wire = Tun(name, place.journal.packet, tap=True)
            place.links.address(name, own)
            place.links.up(name)
            self._router = _hardware_of(name)
        self._near = own.split("/")[0]
        self.address = address
        self.hardware = SERVER
        self.asked = 0

    def send(self, packet: Packet) -> None:
        """Sends a packet to the near end."""
        self.wire.send(frame(packet, self.hardware, self._router))

    def announce(self) -> None:
        """Tells everybody on the wire its hardware address, without having been asked."""
        from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr
        from scapy.layers.l2 import ARP

        if ":" in self.address:
            said = ip(self.address, "ff02::1", 255) / ICMPv6ND_NA(R=0, S=0, O=1, tgt=self.address)
            self.wire.send(
                frame(said / ICMPv6NDOptDstLLAddr(lladdr=self.hardware), self.hardware, _ALL_NODES)
            )
        else:
            said = ARP(op=2, hwsrc=self.hardware, psrc=self.address, hwdst=_EVERYBODY, pdst=self.address)
            self.wire.send(frame(said, self.hardware, _EVERYBODY))

    def receive(self) -> list[tuple[bytes, bytes]]:
        """The IP packets that came since the last call, each with the hardware address that it is
        for; what the near end asks is answered, and what it sends then is among them.
        """
        found = []
        while frames := self.wire.read():
            for data in frames:
                if self._asks(data):
                    self.asked += 1
                    self._answer()
                elif _carries(data):
                    found.append((data[:6], data[14:]))
        return found

    def _asks(self, data: bytes) -> bool:
        packed = ipaddress.ip_address(self.address).packed
        if len(packed) == 4:
            return data[12:14] == b"\x08\x06" and data[20:22] == b"\0\1" and data[38:42] == packed
        return (
            data[12:14] == b"\x86\xdd" and data[20] == _ICMPV6 and data[54] == 135 and data[62:78] == packed
        )

    def _answer(self) -> None:
        from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr
        from scapy.layers.l2 import ARP

        if ":" in self.address:
            said = ip(self.address, self._near, 255) / ICMPv6ND_NA(R=0, S=1, O=1, tgt=self.address)
            self.send(said / ICMPv6NDOptDstLLAddr(lladdr=self.hardware))
        else:
            self.send(ARP(op=2, hwsrc=self.hardware, psrc=self.address, hwdst=self._router, pdst=self._near))


def _carries(data: bytes) -> bool:
    """Whether a frame carries an IP packet, other than those that the kernel sends unasked."""
    if data[12:14] == b"\x86\xdd":
        return data[20] not in (_HOP_BY_HOP, _ICMPV6)
    return data[12:14] == b"\x08\x00"


def _hardware_of(name: str) -> str:
    """The hardware address of a device of this network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, struct.pack("16s24x", name.encode()))
    return ":".join(f"{byte:02x}" for byte in answer[18:24])
