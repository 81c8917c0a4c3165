"""Fragments that cross a bridge: whether they come out as they went in, whoever tracks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.lab.ethernet import CLIENT, SERVER, bridge, hardware
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import Packet, endpoint, fragment, joined, udp
from guest.lab.rules import tool
from guest.lab.tun import Tun

_TAG = 5
_VLAN = b"\x81\x00"
_BY = {"nothing": (0, False), "br_netfilter": (1, False), "nft": (0, True)}
"""Who tracks: bridge-nf-call-*, and whether a bridge rule asks for states."""

_Piece = tuple[int, int]
_EVEN = ((0, 1232), (1232, 2464), (2464, 3008))


@dataclass(frozen=True)
class _Case:
    """Fragments of one datagram, as first byte and end, and what is special about the bridge."""

    places: Sequence[_Piece] = _EVEN
    tagged: bool = False
    mtu: int = 0


_CASES = {
    "in order": _Case(),
    "reversed": _Case(_EVEN[::-1]),
    "first is shorter": _Case(((0, 640), (640, 1872), (1872, 3008))),
    "tagged": _Case(tagged=True),
    "jumbo": _Case(((0, 2464), (2464, 3008)), mtu=9000),
}


class BridgeFragments(Facts):
    """Facts of `bridge-fragments`."""

    left: Annotated[list[str], "per tracker and case: the lengths of the IP packets that leave, in order"]
    untagged: Annotated[list[str], "trackers whose bridge loses the VLAN tag of a fragment"]
    damaged: Annotated[list[str], "trackers and cases where what leaves does not make up the datagram"]
    flows: Annotated[dict[str, int], "per tracker: flows that a fragmented datagram makes"]


@experiment(variants={"family": FAMILIES}, modules=("bridge", "br_netfilter", "nf_conntrack_bridge"))
def bridge_fragments(lab: Lab) -> BridgeFragments:
    """Do fragments cross a bridge that tracks connections as they went in?

    A datagram of 3000 bytes in fragments between two ports of a bridge: in order, reversed, the
    first one shorter than the others, in VLAN 5 (vlan_filtering, and bridge-nf-filter-vlan-tagged
    is 1), and fragments of more than 1500 bytes where every device has MTU 9000. Tracked by
    nothing, by br_netfilter with a state match of iptables, or by `ct state` in nft's bridge
    family. A tracker puts them together and has to take them apart as they were.
    """
    left, untagged, damaged, flows = [], [], [], {}
    for by in _BY:
        for name, case in _CASES.items():
            place = lab.new_namespace()
            client, server = _bridge(place, by, case)
            server.read()
            client.send(*_frames(place, case))
            frames = [frame for frame in server.read() if _ours(frame)]
            packets = [_packet(frame) for frame in frames]
            left.append(f"{by}, {name}: {' '.join(str(len(packet)) for packet in packets) or 'none'}")
            if case.tagged and not all(frame[12:14] == _VLAN for frame in frames):
                untagged.append(by)
            if joined(packets)[8:] != _DATA:
                damaged.append(f"{by}, {name}")
            if name == "in order":
                flows[by] = sum(flow.orig.protocol == 17 for flow in place.flows())
    return BridgeFragments(left=left, untagged=untagged, damaged=damaged, flows=flows)


_DATA = bytes(range(250)) * 12


def _bridge(place: Namespace, by: str, case: _Case) -> tuple[Tun, Tun]:
    call, states = _BY[by]
    client, server = bridge(place)
    for name in ("iptables", "ip6tables"):
        place.sysctl(f"net/bridge/bridge-nf-call-{name}", call)
    place.sysctl("net/bridge/bridge-nf-filter-vlan-tagged", 1)
    if call:
        place.iptables("*filter\n-A FORWARD -m conntrack --ctstate NEW")
    if states:
        place.chain("forward filter", "ct state new counter", family="bridge")
    with place.inside():
        if case.mtu:
            devices = ("port1", "port2", "br0")
            tool("ip", "-batch", "-", text="".join(f"link set {name} mtu {case.mtu}\n" for name in devices))
        if case.tagged:
            tool("ip", "link", "set", "br0", "type", "bridge", "vlan_filtering", "1")
            tool(
                "bridge",
                "-batch",
                "-",
                text=f"vlan add dev port1 vid {_TAG}\nvlan add dev port2 vid {_TAG}\n",
            )
    return client, server


def _frames(place: Namespace, case: _Case) -> list[Packet]:
    from scapy.layers.l2 import Dot1Q, Ether

    head = Ether(src=CLIENT, dst=SERVER)
    if case.tagged:
        head = head / Dot1Q(vlan=_TAG)
    whole = bytes(udp(endpoint(place.client, 40000), endpoint(place.distant, 53), _DATA))[
        place.family.header :
    ]
    return [head / fragment(place.client, place.distant, 7, whole, *piece) for piece in case.places]


def _ours(frame: bytes) -> bool:
    # Ports also send packets of the kernel itself, at any time.
    return frame[6:12] == hardware(CLIENT)


def _packet(frame: bytes) -> bytes:
    return frame[18:] if frame[12:14] == _VLAN else frame[14:]
