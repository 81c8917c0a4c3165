"""Beginnings and ends: namespaces that go away, tables that change their size."""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.packets import udp, with_ports
from guest.lab.tun import Tun


class NamespaceTeardown(Facts):
    """Facts of `namespace-teardown`."""

    held: Annotated[
        bool, "whether the entries of a namespace are seen among the kernel's objects while it is there"
    ]
    freed: Annotated[
        str, "when they are freed once the namespace is gone: within 3 s, within 30 s, or not within 30 s"
    ]
    other_untouched: Annotated[bool, "whether another namespace has the same 4,000 flows as before"]


def _stay() -> None:
    """Keeps this process on the first processor.

    Shortly after the first packet that is tracked the kernel changes its own code, on the processor
    that sent it. QEMU may run into the half-changed code on the other processor, but not on this.
    """
    os.sched_setaffinity(0, {0})


@experiment(seconds=90, cpus=2)
def namespace_teardown(lab: Lab) -> NamespaceTeardown:
    """Are a namespace's entries freed when the namespace goes?

    Two namespaces with 4,000 flows each; one is abandoned: its tun is closed and nothing refers to
    it any more. The count of nf_conntrack objects in /proc/slabinfo shows when its entries are
    gone, which the kernel frees in the background. Hosts that start and stop many containers depend
    on it.
    """

    def objects() -> int:
        lines = lab.root.read("/proc/slabinfo").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("nf_conntrack ")), 0)

    _stay()
    wire = lab.host()
    lab.track()
    lab.sysctl(sysctls.UDP_TIMEOUT, 3600)
    wire.flood(with_ports(udp("198.18.0.2:1", "192.0.2.1:81"), range(10000, 14000)))
    others = [str(flow.orig) for flow in lab.flows()]
    before = objects()
    place = lab.new_namespace()
    other = place.host()
    place.track()
    place.sysctl(sysctls.UDP_TIMEOUT, 3600)
    other.flood(with_ports(udp("198.18.0.2:1", "192.0.2.1:81"), range(10000, 14000)))
    during = objects()
    other.close()
    place.close()
    start = time.monotonic()
    freed = lab.until("the entries are freed", lambda: objects() < before + 1000, 30.0)
    took = time.monotonic() - start
    lab.journal.note(f"nf_conntrack objects: {before} before, {during} with the namespace, {objects()} after")
    return NamespaceTeardown(
        held=during >= before + 4000 - 1000,
        freed="not within 30 s" if not freed else "within 3 s" if took < 3 else "within 30 s",
        other_untouched=[str(flow.orig) for flow in lab.flows()] == others and len(others) == 4000,
    )


@namespace_teardown.invariant(
    "a namespace that goes away takes its entries with it and leaves the others alone"
)
def _(facts: NamespaceTeardown) -> bool:
    return facts.held and facts.freed != "not within 30 s" and facts.other_untouched


class HashResizeUnderLoad(Facts):
    """Facts of `hash-resize-under-load`."""

    sizes: Annotated[
        list[str], "what the kernel makes of each number of buckets that is written while packets arrive"
    ]
    all_there: Annotated[bool, "whether there are as many flows as were sent, by their count"]
    found_again: Annotated[bool, "whether packets of all flows then find their flows, instead of making more"]
    insert_failed: Annotated[int, "flows that could not be put into the table during that"]


_FLOWS, _RESIZES, _MOST_RESIZES = 30_000, 10, 100
_SIZES = (65_536, 16_384)


@experiment(seconds=240, cpus=2)
def hash_resize_under_load(lab: Lab) -> HashResizeUnderLoad:
    """Is a flow ever lost or doubled when the hash table is resized while packets arrive?

    30,000 UDP flows, so that a resize lasts; then the number of buckets, which belongs to the whole
    machine, is set to 65536 and 16384 in turn, until packets arrived during ten resizes: a process
    on the other processor sends them, of these flows and of up to 30,000 new ones. Then every flow
    sends once more. Only counts are read: a listing takes longer than all of it.
    """
    _stay()
    lab.root.sysctl(sysctls.MAX, 400_000)
    lab.root.sysctl(sysctls.BUCKETS, _SIZES[1])
    wire = lab.host()
    lab.track()
    # What the machine answers to a port without a listener is no part of it.
    lab.chain("output raw", "drop")
    lab.sysctl(sysctls.UDP_TIMEOUT, 3600)
    known = _packets("198.18.0.2", "198.18.0.3")
    new = _packets("198.18.0.4", "198.18.0.5")
    wire.flood(known)
    failed = lab.statistics()["insert_failed"]
    sizes, met, turn = [], 0, 0
    with _load(wire, known, new) as load:
        # While the load's processor waits for one of the host's, resizes pass without a packet.
        while met < _RESIZES and turn < _MOST_RESIZES:
            wanted, before = _SIZES[turn % 2], load.sent
            lab.root.sysctl(sysctls.BUCKETS, wanted)
            met += load.sent > before
            turn += 1
            sizes.append(f"{wanted}: {lab.root.read(f'/proc/sys/{sysctls.BUCKETS}').strip()}")
            lab.until("packets between two resizes", partial(load.reaches, load.sent + 100), 10)
    lab.journal.note(f"{load.sent} packets were sent, and during {met} of {turn} resizes")
    if met < _RESIZES:
        raise RuntimeError(f"packets arrived during {met} of {turn} resizes only")
    there = known + new[: load.begun]
    count = lab.conntrack.count()
    wire.flood(there)
    return HashResizeUnderLoad(
        sizes=list(dict.fromkeys(sizes)),
        all_there=count == len(there),
        found_again=lab.conntrack.count() == count,
        insert_failed=lab.statistics()["insert_failed"] - failed,
    )


@hash_resize_under_load.invariant("no flow is lost, doubled or refused while the table is resized")
def _(facts: HashResizeUnderLoad) -> bool:
    return facts.all_there and facts.found_again and facts.insert_failed == 0


def _packets(*sources: str) -> list[bytes]:
    """The first packets of half as many flows from each of two sources."""
    ports = range(10_000, 10_000 + _FLOWS // 2)
    return [packet for source in sources for packet in with_ports(udp(f"{source}:1", "192.0.2.1:9"), ports)]


class _Load:
    """A process on the second processor that sends packets until it is told to stop.

    `begun` is how many of the new flows it has begun, `sent` how many packets it has sent in all.
    """

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 24)

    @property
    def sent(self) -> int:
        return self._read(0)

    @property
    def begun(self) -> int:
        return self._read(8)

    def reaches(self, sent: int) -> bool:
        return self.sent >= sent

    def stop(self) -> None:
        struct.pack_into("=Q", self._shared, 16, 1)

    def run(self, wire: Tun, known: list[bytes], new: list[bytes]) -> None:
        os.sched_setaffinity(0, {1})
        sent = 0
        while not self._read(16):
            batch = [known[sent % len(known)]]
            if sent // 2 < len(new):
                batch.append(new[sent // 2])
            wire.flood(batch)
            sent += 2
            struct.pack_into("=QQ", self._shared, 0, sent, min(sent // 2, len(new)))

    def _read(self, place: int) -> int:
        return int(struct.unpack_from("=Q", self._shared, place)[0])


@contextmanager
def _load(wire: Tun, known: list[bytes], new: list[bytes]) -> Iterator[_Load]:
    """Packets of known flows and first packets of new ones, one each in turn, from the other
    processor.
    """
    load = _Load()
    child = os.fork()
    if child == 0:
        try:
            os.sched_setaffinity(0, {1})
            load.run(wire, known, new)
        finally:
            os._exit(0)
    try:
        yield load
    finally:
        load.stop()
        os.waitpid(child, 0)
