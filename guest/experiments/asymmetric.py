"""Asymmetric routes: a router that sees only one direction of connections."""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.router import Peer


class AsymmetricReturn(Facts):
    """Facts of `asymmetric-return`."""

    requests: Annotated[
        list[str],
        "per segment of the client's, none of the server's being seen: its conntrack state, and the entry"
        " after it",
    ]
    later: Annotated[str, "the same for the client's next data once that entry is over"]
    both: Annotated[list[str], "the same once both directions come this way: server, client, server"]
    answers: Annotated[list[str], "per segment of the server's, none of the client's being seen: the same"]


@experiment(variants={"family": FAMILIES, "loose": ("0", "1")})
def asymmetric_return(lab: Lab) -> AsymmetricReturn:
    """What does connection tracking make of connections of which it sees one direction only?

    Requests come through the balancer and answers go past it (direct return): SYN, ACK, twice data
    that acknowledge what was not seen, FIN. Of another connection the entry is over after the
    handshake, and data follow; then the path changes and both directions come this way. Of a third
    only the server's segments are seen. A firewall that drops INVALID cuts such connections off.
    `loose` is nf_conntrack_tcp_loose.
    """
    requests = _requests(lab.new_namespace())
    place = lab.new_namespace()
    client, server = _start(place)
    client.syn()
    server.seq += 1
    client.ack()
    place.conntrack.flush()
    server.seq += 1000
    later = _noted(place, "data", client.data(100))
    sides = {"server": server, "client": client, "server again": server}
    both = [_noted(place, name, side.data(100)) for name, side in sides.items()]
    return AsymmetricReturn(requests=requests, later=later, both=both, answers=_answers(lab.new_namespace()))


def _start(place: Namespace) -> tuple[Peer, Peer]:
    router = place.router()
    place.sysctl(sysctls.TCP_LOOSE, place.variant["loose"])
    return router.tcp()


def _noted(place: Namespace, name: str, state: str) -> str:
    flows = place.flows()
    entry = f"{flows[0].state} {flows[0].lifetime}" if flows else "no entry"
    return f"{name}: {state}, {entry}"


def _requests(place: Namespace) -> list[str]:
    client, server = _start(place)
    found = [_noted(place, "SYN", client.syn())]
    server.seq += 1
    found.append(_noted(place, "ACK", client.ack()))
    for number in ("first", "second"):
        found.append(_noted(place, f"{number} data", client.data(100)))
        server.seq += 1000
    return [*found, _noted(place, "FIN", client.fin())]


def _answers(place: Namespace) -> list[str]:
    client, server = _start(place)
    client.seq += 1
    found = [_noted(place, "SYN+ACK", server.synack())]
    for number in ("first", "second"):
        client.seq += 1000
        found.append(_noted(place, f"{number} data", server.data(100)))
    return [*found, _noted(place, "FIN", server.fin())]
