"""Races: two processors at once."""

from __future__ import annotations

import mmap
import os
import socket
import struct
import time
from contextlib import ExitStack

from guest.catalogue import Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab

_BATCH, _CLASHES, _SECONDS = 20, 3, 50.0
# A long chain between where an entry is made and where it is put into the table makes the window
# for a clash wide.
_LONG = ("udp dport 1 counter",) * 1500
_BACKENDS = "udp dport 53 dnat to numgen inc mod 2 map { 0 : 192.0.2.11, 1 : 192.0.2.12 }"


def _send_in_step(sockets: list[socket.socket]) -> None:
    """Two processes, each on its own processor, send one datagram over each socket, both over the
    same one at the same time.
    """
    shared = mmap.mmap(-1, 16)
    children = []
    for number in range(2):
        child = os.fork()
        if child == 0:
            try:
                os.sched_setaffinity(0, {number})
                for turn, channel in enumerate(sockets, 1):
                    struct.pack_into("=Q", shared, 8 * number, turn)
                    while struct.unpack_from("=Q", shared, 8 * (1 - number))[0] < turn:
                        pass
                    channel.send(b"query")
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


@experiment(
    facts=[
        Fact("lost", str, "datagrams that did not leave: none, or some"),
        Fact("clash_resolve", str, "clashes that the table's statistics count as resolved: none, or some"),
        Fact("insert_failed", str, "entries that could not be put into the table: none, or some"),
        Fact("backends", int, "to how many addresses the datagrams went"),
    ],
    variants={"nat": ("none", "backends")},
    invariants=[
        Invariant(
            "a clash loses no datagram",
            lambda facts, variant: facts["lost"] == facts["insert_failed"] == "none",
        )
    ],
    seconds=90,
    cpus=2,
)
def udp_clash(lab: Lab) -> FactDict:
    """Is a datagram lost when two processors make the entry of one flow at the same time?

    Two processes on two processors send one datagram each over one socket, in step, to port 53:
    what a resolver does that asks for A and AAAA. `backends` translates to two servers in turn, as
    kube-proxy does. Batches of twenty sockets until three clashes were seen; 1500 rules between the
    making of an entry and its insertion make the window for them wide. Counts are in notes.txt.
    """
    wire = lab.host()
    lab.chain("output filter", "ct state new counter", *_LONG)
    if lab.variant["nat"] == "backends":
        lab.chain("output nat", _BACKENDS)
    before = lab.statistics()
    sent, left = 0, []
    statistics: dict[str, int] = {}
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        with lab.inside(), ExitStack() as stack:
            sockets = [
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(_BATCH)
            ]
            for channel in sockets:
                channel.connect(("192.0.2.2", 53))
            _send_in_step(sockets)
        sent += 2 * _BATCH
        left += wire.read()
        statistics = lab.statistics(before)
        if statistics["clash_resolve"] + statistics["insert_failed"] >= _CLASHES:
            break
    lab.journal.note(f"{len(left)} of {sent} left, statistics {statistics}")
    numbers = {
        "lost": sent - len(left),
        **{name: statistics[name] for name in ("clash_resolve", "insert_failed")},
    }
    facts: FactDict = {name: "some" if number else "none" for name, number in numbers.items()}
    return facts | {"backends": len({data[16:20] for data in left})}
