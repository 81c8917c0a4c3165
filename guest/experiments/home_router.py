"""A home router: clients behind a bridge, and a flowtable that names the bridge or its port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab.ethernet import CLIENT, SERVER, frame, hardware
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import Packet, tcp, udp

_CLIENT, _SERVER, _OWN, _PORT = "10.0.1.2", "10.0.2.2", "10.0.2.1", 40000
_DEVICES = {
    "none": (),
    "bridge": ("br0", "wan"),
    "port": ("port1", "wan"),
    "both": ("br0", "port1", "wan"),
    "wan only": ("wan",),
}
_TEN = 10


class FlowtableBridge(Facts):
    """Facts of `flowtable-bridge`."""

    delivered: Annotated[
        dict[str, int], "per devices and protocol: packets of twenty, ten each way, that come out"
    ]
    slow: Annotated[
        list[str], "devices, protocols and directions whose packets the forward chain sees, most of ten"
    ]
    entry: Annotated[list[str], "devices and protocols whose entry says that the flow is on the fast path"]


@experiment(
    variants={"nat": ("none", "masquerade")},
    modules=("bridge", "nf_flow_table", "nft_flow_offload", "nf_flow_table_inet"),
)
def flowtable_bridge(lab: Lab) -> FlowtableBridge:
    """Is a client behind a bridge put on the fast path, and does its traffic go on?

    A router with the bridge br0, whose one port is the client's wire, and the device wan. A TCP and
    a UDP flow are added to a flowtable of br0 and wan, of the port and wan, of all three, of wan
    alone, and without one; then ten packets go each way. Home routers list their bridge there, and
    kernels that look through it have to find the port, or leave the flow to the rules.
    """
    delivered: dict[str, int] = {}
    slow, entry = [], []
    for name, devices in _DEVICES.items():
        for protocol in ("tcp", "udp"):
            home = _Home(lab.new_namespace(), devices)
            home.converse(protocol)
            delivered[f"{name} {protocol}"] = 0
            for there, way in ((True, "there"), (False, "back")):
                before = home.seen()
                delivered[f"{name} {protocol}"] += sum(home.send(protocol, there=there) for _ in range(_TEN))
                # 6.1 lets one packet of many past the fast path, now and then.
                if home.seen() - before > _TEN // 2:
                    slow.append(f"{name} {protocol} {way}")
            if "OFFLOAD" in home.place.flow(f"{_CLIENT}:{_PORT}").status:
                entry.append(f"{name} {protocol}")
    return FlowtableBridge(delivered=delivered, slow=slow, entry=entry)


class _Home:
    """The router, and the two wires at which the client and the server are played."""

    def __init__(self, place: Namespace, devices: Sequence[str]) -> None:
        self.place = place
        for name in ("all", "default"):
            place.sysctl(f"net/ipv6/conf/{name}/disable_ipv6", 1)
        place.sysctl("net/ipv4/ip_forward", 1)
        links = place.links
        with place.inside():
            links.add("br0", "bridge")
        self._client, self._server = place.device("port1", tap=True), place.device("wan", tap=True)
        with place.inside():
            links.up("port1", master="br0")
            for name, address, other, mac in (
                ("br0", "10.0.1.1/24", _CLIENT, CLIENT),
                ("wan", "10.0.2.1/24", _SERVER, SERVER),
            ):
                links.up(name)
                links.address(name, address)
                links.neighbour(name, other, hardware(mac))
        self._router = {name: _text(links.hardware(name)) for name in ("br0", "wan")}
        masqueraded = place.variant["nat"] == "masquerade"
        server, back = f"{_SERVER}:80", f"{_OWN if masqueraded else _CLIENT}:{_PORT}"
        self._ends = (f"{_CLIENT}:{_PORT}", server), (server, back)
        self._seq = {True: 1001, False: 5001}
        named = f"flowtable f {{ hook ingress priority 0; devices = {{ {', '.join(devices)} }}; }}"
        place.nft(f"""
            table ip t {{
                {named if devices else ""}
                chain forward {{
                    type filter hook forward priority 0
                    counter comment "seen"
                    ct state established meta l4proto {{ tcp, udp }} {"flow add @f" if devices else ""}
                }}
                chain nat {{
                    type nat hook postrouting priority 100
                    {'oifname "wan" masquerade' if masqueraded else ""}
                }}
            }}
        """)

    def seen(self) -> int:
        """Packets that the forward chain has seen."""
        return self.place.counters().packets("seen")

    def converse(self, protocol: str) -> None:
        """A handshake, and packets both ways, after which the flow is on the fast path if it can
        be.
        """
        if protocol == "tcp":
            there, back = self._ends
            self._pass(tcp(*there, "S", seq=1000), there=True)
            self._pass(tcp(*back, "SA", seq=5000, ack=1001), there=False)
            self._pass(tcp(*there, "A", seq=1001, ack=5001), there=True)
        for _ in range(3):
            self.send(protocol, there=True)
            self.send(protocol, there=False)

    def send(self, protocol: str, *, there: bool) -> bool:
        """Sends 100 bytes from the client, or from the server; whether they come out."""
        ends, data = self._ends[0 if there else 1], bytes(100)
        if protocol == "udp":
            return self._pass(udp(*ends, data), there=there)
        seq, ack = self._seq[there], self._seq[not there]
        self._seq[there] += len(data)
        return self._pass(tcp(*ends, "PA", data=data, seq=seq, ack=ack), there=there)

    def _pass(self, packet: Packet, *, there: bool) -> bool:
        near, far = (self._client, self._server) if there else (self._server, self._client)
        source, receiver = (CLIENT, SERVER) if there else (SERVER, CLIENT)
        far.read()
        near.send(frame(packet, source, self._router["br0" if there else "wan"]))
        return any(data[:6] == hardware(receiver) and _is_ours(data) for data in far.read())


def _is_ours(data: bytes) -> bool:
    return data[12:14] == b"\x08\x00" and data[23] in (6, 17)


def _text(address: bytes) -> str:
    return address.hex(":")
