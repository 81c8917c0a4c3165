"""What the table's statistics count, cause by cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import endpoint, neighbour, tcp, udp, with_ports
from guest.lab.router import Router


class StatisticsMoved(Facts):
    """Facts of `statistics-moved`."""

    moved: Annotated[list[str], "per cause: which of the statistics moved"]
    unconfirmed: Annotated[int, "entries counted after a first packet was dropped in INPUT"]


@experiment()
def statistics_moved(lab: Lab) -> StatisticsMoved:
    """Which statistics tell that NAT looks for a port, that a closed connection is reopened, that a
    first packet was dropped?

    Each in a fresh namespace: a flow that keeps its port under masquerading; a second one whose
    port is taken; 20 whose ports are all taken; a SYN on a connection in TIME_WAIT; a first packet
    that is dropped in INPUT; a packet that is INVALID. Dashboards are made of these numbers.
    """
    moved, unconfirmed = [], 0
    for name, act in _CAUSES.items():
        place = lab.new_namespace()
        router = place.router()
        before = place.statistics()
        act(place, router)
        now = place.statistics(before)
        place.journal.note(f"{name}: {now}")
        # How often a port was looked for is up to where the search began, by chance.
        words = [key for key, value in sorted(now.items()) if value]
        moved.append(f"{name}: {', '.join(words) or 'none'}")
        if name == "dropped in INPUT":
            unconfirmed = place.conntrack.count()
    return StatisticsMoved(moved=moved, unconfirmed=unconfirmed)


def _one(place: Namespace, router: Router, client: int, sport: int) -> None:
    source = endpoint(neighbour(place.client, client), sport)
    router.from_client(udp(source, endpoint(place.server, 53)))


def _port_kept(place: Namespace, router: Router) -> None:
    place.chain("postrouting nat", "oif tun1 masquerade")
    _one(place, router, 2, 40000)


def _port_taken(place: Namespace, router: Router) -> None:
    _port_kept(place, router)
    _one(place, router, 3, 40000)


def _none_free(place: Namespace, router: Router) -> None:
    place.chain("postrouting nat", "oif tun1 meta l4proto udp snat to 10.0.2.1:30000-30003")
    router.client.flood(with_ports(udp("10.0.1.2:1", "10.0.2.2:53"), range(40000, 40020)))


def _time_wait(_place: Namespace, router: Router) -> None:
    client, server = router.handshake()
    client.fin()
    server.fin()
    client.ack()
    client.syn(seq=client.seq + 100_000)


def _dropped(place: Namespace, router: Router) -> None:
    place.chain("input filter", "udp dport 53 drop")
    router.from_client(udp("10.0.1.2:40000", "10.0.1.1:53"))


def _invalid(_place: Namespace, router: Router) -> None:
    router.from_client(tcp("10.0.1.2:40000", "10.0.2.2:80", "SF"))


_CAUSES: dict[str, Callable[[Namespace, Router], None]] = {
    "port kept": _port_kept,
    "port taken": _port_taken,
    "no port free": _none_free,
    "SYN in TIME_WAIT": _time_wait,
    "dropped in INPUT": _dropped,
    "INVALID": _invalid,
}
