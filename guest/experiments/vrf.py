"""VRFs: routing domains whose connections one table tracks."""

from __future__ import annotations

import socket
from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import endpoint, neighbour, parse, ports, udp
from guest.lab.router import LOST, Router
from guest.lab.rules import tool
from guest.lab.tun import Tun

_DEVICES = ("tun0", "blue", "tun1", "red", "tun2")
_NAT = {"none": None, "empty": "", "masquerade": 'oifname "tun2" masquerade'}
_LINKS = """
    link add blue type vrf table 10
    link add red type vrf table 20
    link set blue up
    link set red up
    link set tun0 master blue
    link set tun1 master red
    route add default dev tun2 table 10
    route add default dev tun2 table 20
"""


class VrfConnections(Facts):
    """Facts of `vrf-connections`."""

    second: Annotated[
        list[str], "per NAT chain: what becomes of the second VRF's datagram, and from which port it leaves"
    ]
    insert_failed: Annotated[dict[str, int], "per NAT chain: failures that the table's statistics count"]
    prerouting: Annotated[list[str], "devices by which a forwarded datagram comes in, in PREROUTING's order"]
    postrouting: Annotated[list[str], "devices by which a local program's datagram leaves, in order"]
    source: Annotated[str, "whose address that has, if what leaves by tun0 is masqueraded"]
    flows: Annotated[int, "flows that it makes"]
    answer: Annotated[str, "whom the answer to it reaches"]


@experiment(
    variants={"family": FAMILIES},
    modules=("vrf",),
    alone="the module vrf is in use until its devices are gone, some time after the cell",
)
def vrf_connections(lab: Lab) -> VrfConnections:
    """Are the connections of two VRFs told apart, and what do rules see of a VRF's packets?

    tun0 is in the VRF blue, tun1 in red, and both domains lead to tun2. The same client address and
    ports send from both, and a rule gives each a zone for the original direction alone; without NAT
    chain, with an empty one, with masquerade. Then each rule's device is noted for one forwarded
    datagram, and for one of a local program that is bound to blue and masqueraded on tun0.
    """
    second, failed = [], {}
    for name, rule in _NAT.items():
        second_is, failed[name] = _two(lab.new_namespace(), rule)
        second.append(f"{name}: {second_is}")
    place = lab.new_namespace()
    router, _ = _domains(place)
    _notes(place, "prerouting", "iifname")
    router.client.send(udp(endpoint(place.client, 40000), endpoint(place.distant, 53)))
    postrouting, source, answer, flows = _local(lab.new_namespace())
    return VrfConnections(
        second=second,
        insert_failed=failed,
        prerouting=_noted(place, "prerouting"),
        postrouting=postrouting,
        source=source,
        answer=answer,
        flows=flows,
    )


def _domains(place: Namespace) -> tuple[Router, Tun]:
    """A router whose two sides are in two VRFs, and the device to which both lead."""
    router = place.router(states=False)
    uplink = place.tun("tun2")
    # A device loses its IPv6 addresses when it gets into a VRF.
    again = "".join(
        f"address replace {place.family.interface(number + 1)} dev tun{number}\n" for number in range(2)
    )
    with place.inside():
        tool("ip", "-6" if place.family is Family.IPV6 else "-4", "-batch", "-", text=_LINKS + again)
    return router, uplink


def _two(place: Namespace, nat: str | None) -> tuple[str, int]:
    router, uplink = _domains(place)
    place.chain(
        "prerouting raw",
        'iifname "tun0" ct original zone set 1',
        'iifname "tun1" ct original zone set 2',
    )
    if nat is not None:
        place.chain("postrouting nat", *([nat] if nat else []))
    before = place.statistics()
    datagram = udp(endpoint(place.client, 40000), endpoint(place.distant, 53))
    sent = []
    for side in (router.client, router.server):
        uplink.read()
        side.send(datagram)
        packets = uplink.read()
        sent.append(ports(packets[0])[0] if packets else 0)
    same = "forwarded from the same port" if sent[1] == sent[0] else "forwarded from another port"
    return LOST if not sent[1] else same, place.statistics(before)["insert_failed"]


def _notes(place: Namespace, hook: str, word: str) -> None:
    """Rules that count packets by device at a hook, before any translation."""
    place.chain(
        f"{hook} 50", *(f'{word} "{name}" udp dport 53 counter comment "{hook} {name}"' for name in _DEVICES)
    )


def _noted(place: Namespace, hook: str) -> list[str]:
    counters = place.counters()
    counts = {name: counters.packets(f"{hook} {name}") for name in _DEVICES}
    return [f"{name}: {count}" for name, count in counts.items() if count]


def _local(place: Namespace) -> tuple[list[str], str, str, int]:
    """A program that is bound to blue sends to a neighbour of tun0 and is answered: by which
    devices the datagram leaves, whose address it has, whom the answer reaches, and flows.
    """
    router, _ = _domains(place)
    own, there = place.family.network(9, 9), place.family.network(8, 8)
    place.links.address("blue", f"{own}/{128 if place.family is Family.IPV6 else 32}")
    with place.inside():
        tool("ip", "route", "add", there, "dev", "tun0", "table", "10")
    _notes(place, "postrouting", "oifname")
    place.chain("postrouting nat", 'oifname "tun0" masquerade')
    with place.inside():
        program = socket.socket(place.family.af, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        program.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"blue")
        program.bind((own, 40000))
    with program:
        router.client.read()
        program.sendto(b"data", (there, 53))
        packets = [parse(data) for data in router.client.read()]
        if not packets:
            return _noted(place, "postrouting"), LOST, LOST, len(place.flows())
        source = packets[0].src
        router.client.send(udp(endpoint(there, 53), endpoint(source, packets[0].sport)))
        try:
            answer = "the program" if program.recv(100) else LOST
        except BlockingIOError:
            answer = LOST
    names = {neighbour(place.client, 1): "tun0's", own: "the program's"}
    return _noted(place, "postrouting"), names.get(source, "another"), answer, len(place.flows())
