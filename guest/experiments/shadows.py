"""A gateway's own ports: who gets a datagram for a port that a client has used too."""

from __future__ import annotations

import socket
from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.lab.lab import Lab
from guest.lab.packets import endpoint, neighbour, ports, udp
from guest.lab.router import LOST

_PORTS = (1194, 51820)
_PEER = 60000
_PLAIN = "oif tun1 masquerade"
_GUARDS = {
    "none": ("", ""),
    "notrack": ("prerouting raw", "iif tun1 udp dport { 1194, 51820 } notrack"),
    "drop": ("forward filter", "iif tun0 udp sport { 1194, 51820 } drop"),
}
_MASQUERADES = {"random": f"{_PLAIN} random", "fully-random": f"{_PLAIN} fully-random"}


class PortShadow(Facts):
    """Facts of `port-shadow`."""

    reaches: Annotated[
        list[str], "per rules and port: whom a datagram for the gateway's service reaches afterwards"
    ]
    kept: Annotated[dict[str, int], "1 where the client's source port was kept, as the peer saw it"]


@experiment(variants={"family": FAMILIES})
def port_shadow(lab: Lab) -> PortShadow:
    """Can a client behind a gateway take a port of the gateway's own service away from it?

    A gateway masquerades and serves UDP ports 1194 and 51820 itself. A client sends from one of
    them to port 60000 of a machine outside; then that machine sends from 60000 to the gateway's
    service (CVE-2021-3773). Rules: masquerade alone, random, fully-random; notrack for the service;
    a rule that drops what clients send from these ports.
    """
    reaches, kept = [], {}
    for rules in (*_GUARDS, *_MASQUERADES):
        for port in _PORTS:
            whom, same = _shadow(lab, rules, port)
            reaches.append(f"{rules} {port}: {whom}")
            kept[f"{rules} {port}"] = int(same)
    return PortShadow(reaches=reaches, kept=kept)


def _shadow(lab: Lab, rules: str, port: int) -> tuple[str, bool]:
    """Whom the datagram for the service reaches, and whether the client's port was kept."""
    place = lab.new_namespace()
    router = place.router(states=False)
    hook, rule = _GUARDS.get(rules, ("", ""))
    if rule:
        place.chain(hook, rule)
    place.chain("postrouting nat", _MASQUERADES.get(rules, _PLAIN))
    own, peer = neighbour(place.server, 1), endpoint(place.server, _PEER)
    with place.inside():
        service = socket.socket(place.family.af, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        service.bind((own, port))
    with service:
        router.from_client(udp(endpoint(place.client, port), peer))
        kept = bool(router.out) and ports(router.out[0])[0] == port
        router.from_server(udp(peer, endpoint(own, port)))
        try:
            service.recv(100)
        except BlockingIOError:
            return "client" if router.out else LOST, kept
        return "service", kept
