"""Races: two processors at once."""

from __future__ import annotations

import mmap
import os
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Annotated

from guest.catalogue import Facts, Guard, experiment
from guest.lab.lab import Lab
from guest.lab.packets import endpoint, ports, udp, with_ports

_BATCH, _CLASHES = 20, 3
# Batches after which too few have met. A time would not do: the guest's clock goes on while one of
# its processors waits for one of the host's, and nothing can meet then.
_BATCHES, _LARGE_BATCHES = 300, 20
# A long chain between where an entry is made and where it is put into the table makes the window
# for a clash wide.
_LONG = ("udp dport 1 counter",) * 1500
_BACKENDS = "udp dport 53 dnat to numgen inc mod 2 map { 0 : 192.0.2.11, 1 : 192.0.2.12 }"


def _settled(lab: Lab) -> Lab:
    """The lab, once the kernel has stopped to change its own code.

    It does so shortly after the first packet that is tracked, and QEMU may then run into the
    half-changed code on the other processor.
    """
    place = lab.new_namespace()
    place.track()
    place.host().send(udp("198.18.0.2:1", "192.0.2.1:53"))
    lab.pause(0.3)
    return lab


def _in_step(times: int, act: Callable[[int, int], object]) -> None:
    """Two processes, each on its own processor, call `act` with their number, 0 or 1, and the turn,
    both at the same moment in each turn.
    """
    shared = mmap.mmap(-1, 16)
    children = []
    for number in range(2):
        child = os.fork()
        if child == 0:
            try:
                os.sched_setaffinity(0, {number})
                for turn in range(times):
                    struct.pack_into("=Q", shared, 8 * number, turn + 1)
                    while struct.unpack_from("=Q", shared, 8 * (1 - number))[0] < turn + 1:
                        pass
                    act(number, turn)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def _query(sockets: list[socket.socket], _number: int, turn: int) -> None:
    sockets[turn].send(b"query")


class UdpClash(Facts):
    """Facts of `udp-clash`."""

    lost: Annotated[str, "datagrams that did not leave: none, or some"]
    insert_failed: Annotated[
        str,
        "entries that could not be put into the table: none, or some",
        Guard("a clash that is resolved must not be counted as a packet lost: monitoring warns of these"),
    ]
    backends: Annotated[int, "to how many addresses the datagrams went"]


def _some(number: int) -> str:
    return "some" if number else "none"


@experiment(variants={"nat": ("none", "backends")}, seconds=90, cpus=2)
def udp_clash(lab: Lab) -> UdpClash:
    """Is a datagram lost when two processors make the entry of one flow at the same time?

    Two processes on two processors send one datagram each over one socket, in step, to port 53:
    what a resolver does that asks for A and AAAA. `backends` translates to two servers in turn, as
    kube-proxy does. Batches of twenty sockets until the statistics count three clashes, resolved or
    not; 1500 rules between the making of an entry and its insertion make the window for them wide.
    Counts are in notes.txt.
    """
    wire = _settled(lab).host()
    lab.chain("output filter", "ct state new counter", *_LONG)
    if lab.variant["nat"] == "backends":
        lab.chain("output nat", _BACKENDS)
    before = lab.statistics()
    sent, left = 0, []
    statistics: dict[str, int] = {}
    clashes = 0
    while clashes < _CLASHES:
        if sent == 2 * _BATCH * _BATCHES:
            raise RuntimeError(f"{clashes} clashes in {_BATCHES} batches, not {_CLASHES}")
        with lab.inside(), ExitStack() as stack:
            sockets = [
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(_BATCH)
            ]
            for channel in sockets:
                channel.connect(("192.0.2.2", 53))
            _in_step(_BATCH, partial(_query, sockets))
        sent += 2 * _BATCH
        left += wire.read()
        statistics = lab.statistics(before)
        clashes = statistics["clash_resolve"] + statistics["insert_failed"]
    lab.journal.note(f"{len(left)} of {sent} left, statistics {statistics}")
    return UdpClash(
        lost=_some(sent - len(left)),
        insert_failed=_some(statistics["insert_failed"]),
        backends=len({data[16:20] for data in left}),
    )


@udp_clash.invariant("a clash loses no datagram")
def _(facts: UdpClash) -> bool:
    return facts.lost == facts.insert_failed == "none"


class UdpCrossingRace(Facts):
    """Facts of `udp-crossing-race`."""

    lost: Annotated[str, "packets that did not leave, of those that met: some, or few (under a quarter)"]
    rewritten: Annotated[str, "packets that left with another source port: none, or some"]


_PAIRS, _CROSSINGS = 400, 5  # a tun holds 500 packets until they are read


def _peer(lab: Lab) -> str:
    return endpoint(lab.server, 50_000)


@experiment(variants={"nat": ("none", "elsewhere")}, seconds=120, cpus=2)
def udp_crossing_race(lab: Lab) -> UdpCrossingRace:
    """What becomes of the first packets of two UDP peers that cross each other inside the router?

    Peers with fixed ports (WireGuard, IKE, games) may both begin at once. Two processes on two
    processors send a packet each, in step, from the client's and from the server's side, for 400
    pairs of ports at a time, until five at least have met: by the statistics or by what came out.
    1500 rules make the window wide. `nat=elsewhere`: there is NAT, but no rule for these flows; a
    port that is rewritten all the same breaks both ends.
    """
    router = _settled(lab).router(states=False)
    lab.chain("forward filter", "ct state new counter", *_LONG)
    if lab.variant["nat"] == "elsewhere":
        lab.chain("postrouting nat", "udp dport 9 masquerade")
    before = lab.statistics()
    lost = rewritten = met = sent = 0
    numbers = range(10_000, 10_000 + _PAIRS)
    questions = with_ports(udp(endpoint(lab.client, 1), _peer(lab)), numbers)
    answers = [bytes(udp(_peer(lab), endpoint(lab.client, number))) for number in numbers]
    sides = ((router.client, questions), (router.server, answers))
    while met < _CROSSINGS:
        if sent == 2 * _PAIRS * _LARGE_BATCHES:
            raise RuntimeError(f"{met} pairs met in {_LARGE_BATCHES} batches, not {_CROSSINGS}")
        _in_step(_PAIRS, lambda number, turn: sides[number][0].flood([sides[number][1][turn]]))
        there, back = router.server.read(), router.client.read()
        lab.conntrack.flush()
        sent += 2 * _PAIRS
        lost += 2 * _PAIRS - len(there) - len(back)
        rewritten += sum(ports(data)[0] not in numbers for data in there)
        rewritten += sum(ports(data)[0] != 50_000 for data in back)
        statistics = lab.statistics(before)
        met = max(lost + rewritten, statistics["clash_resolve"] + statistics["insert_failed"])
    lab.journal.note(f"of {sent} packets {lost} lost, {rewritten} rewritten, statistics {statistics}")
    return UdpCrossingRace(lost="some" if 4 * lost > met else "few", rewritten=_some(rewritten))
