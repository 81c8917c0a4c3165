"""Reading the table: dumps, filters, events, and what cannot be seen."""

from __future__ import annotations

import contextlib
import os
import statistics
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from guest import netlink
from guest.catalogue import FAMILIES, SCOPES, Fact, FactDict, Facts, Invariant, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import endpoint, neighbour, udp, with_ports
from guest.linux import errno_name
from guest.netlink import attribute, nested
from guest.observe import ctnetlink

_EVENTS = "net/netfilter/nf_conntrack_events"
_PROC = "/proc/net/nf_conntrack"
_MANY = 30_000
_LONGER = 3.0  # where reading begins again at the first bucket it is eight or more
_MARK_MASK = 21


class ProcDump(Facts):
    """Facts of `proc-dump`."""

    proc: Annotated[str, "what /proc/net/nf_conntrack lists of 30,000 flows: all, some, or absent"]
    netlink: Annotated[str, "what a dump over netlink lists of them: all or some"]
    each_flow_once: Annotated[bool, "whether /proc has one line for each flow, and as many as the dump"]
    proc_per_flow: Annotated[
        str,
        "time to read the last of 30,000 flows from /proc, against the first: alike (under three times),"
        " longer, or absent",
    ]
    staying: Annotated[
        str,
        "of 1,000 flows that stay, how many a reader of /proc gets if 1,000 others go when it is half"
        " through: nearly all (95 % at least), most, half, or absent",
    ]


@experiment(seconds=240)
def proc_dump(lab: Lab) -> ProcDump:
    """Is reading the whole table from /proc complete, and affordable?

    2,000 UDP flows, of which 1,000 are deleted when a reader of /proc/net/nf_conntrack is half
    through: where its place is kept as the number of entries before it, it then misses entries that
    are still there, and so it does when flows expire meanwhile. Then 30,000 flows; the file is read
    to its end, and the table is dumped over netlink. Where reading begins again at the first bucket
    for each piece, each takes longer than the one before it, and the time for all grows with the
    square of the table: monitoring that scrapes it needs minutes. Times are in notes.txt.
    """
    staying = _staying(lab.new_namespace())
    lab.root.sysctl(sysctls.MAX, 100_000)
    lab.root.sysctl(sysctls.BUCKETS, 16_384)  # with fewer, chains would be too long for some kernels
    lab.track()
    wire = lab.host()
    lab.sysctl(sysctls.UDP_TIMEOUT, 600)
    wire.flood(with_ports(udp("198.18.0.2:1", "192.0.2.1:53"), range(2000, 2000 + _MANY)))
    dumped = len(lab.conntrack.request(ctnetlink.GET, flags=netlink.DUMP))
    lines: list[str] = []
    growth = "absent"
    with contextlib.suppress(FileNotFoundError):
        lines, growth = _read_proc(lab)
    absent = growth == "absent"
    ports = {line.split("sport=")[1].split()[0] for line in lines}
    lab.journal.note(f"netlink: {dumped} flows; /proc: {len(lines)}")
    return ProcDump(
        proc="absent" if absent else "all" if len(ports) == _MANY else "some",
        netlink="all" if dumped == _MANY else "some",
        each_flow_once=len(lines) == len(ports) == dumped,
        proc_per_flow=growth,
        staying=staying,
    )


def _read_proc(lab: Lab) -> tuple[list[str], str]:
    """The lines of /proc's table, and how long its last pieces took to read beside the first."""
    pieces, took = [], []
    with lab.inside():
        file = os.open(_PROC, os.O_RDONLY)
    try:
        while True:
            start = time.perf_counter()
            piece = os.read(file, 4096)
            took.append(time.perf_counter() - start)
            pieces.append(piece)
            if not piece:
                break
    finally:
        os.close(file)
    # Medians: a guest that waits for a processor during some of them changes nothing.
    part = len(took) // 20 or 1
    first, last = statistics.median(took[:part]), statistics.median(took[-part:])
    lab.journal.note(
        f"{len(took)} pieces: {first * 1e6:.0f} us each of the first, {last * 1e6:.0f} of the last"
    )
    return b"".join(pieces).decode().splitlines(), "alike" if last < _LONGER * first else "longer"


def _staying(place: Namespace) -> str:
    """How many of the flows that stay a reader gets who is half through when others go.

    The table is the whole machine's: it must hold no other flows.
    """
    place.chain("prerouting filter", "ip saddr 198.18.0.3 ct mark set 1")
    wire = place.host()
    numbers = range(2000, 3000)
    for source in ("198.18.0.2", "198.18.0.3"):
        wire.flood(with_ports(udp(f"{source}:1", "192.0.2.1:53"), numbers))
    read = b""
    with place.inside():
        if not Path(_PROC).exists():
            return "absent"
        file = os.open(_PROC, os.O_RDONLY)
    while read.count(b"\n") < len(numbers):
        read += os.read(file, 4096)
    marked = attribute(ctnetlink.MARK, struct.pack(">I", 1))
    place.conntrack.flush(marked, attribute(_MARK_MASK, struct.pack(">I", 0xFFFFFFFF)))
    while more := os.read(file, 4096):
        read += more
    os.close(file)
    seen = len({line for line in read.decode().splitlines() if "src=198.18.0.2 " in line})
    place.journal.note(f"{seen} of {len(numbers)} flows that stay were read, {place.conntrack.count()} left")
    place.conntrack.flush()
    # Those behind others in one bucket may be missed on any kernel: the table's hash decides that.
    part = seen / len(numbers)
    return "nearly all" if part >= 0.95 else "most" if part > 0.65 else "half"


@experiment(
    facts=[
        Fact("bytes", int, "bytes per entry in the slab cache nf_conntrack"),
    ],
)
def slab_size(lab: Lab) -> FactDict:
    """How much memory does one entry of the table take?

    The object size of the slab cache, from /proc/slabinfo as the guest's root. Extensions (NAT,
    accounting, timestamps, labels) come on top, allocated apart. Expected connections have a cache
    too, but most kernels merge it with others of that size, and then do not list it.
    """
    lab.track()
    lab.host().send(udp("198.18.0.2:1", "192.0.2.1:53"))
    sizes = {
        fields[0]: int(fields[3])
        for line in lab.root.read("/proc/slabinfo").splitlines()[2:]
        if (fields := line.split())
    }
    return {"bytes": sizes["nf_conntrack"]}


@experiment(
    facts=[
        Fact("count", int, "entries counted while two packets wait in a queue"),
        Fact("dump", int, "entries listed by an ordinary dump then"),
        Fact("unconfirmed", str, "what the list of unconfirmed entries returns: a number, or the errno"),
        Fact("after", int, "entries counted once both were let go"),
    ],
    modules=("nft_queue", "nfnetlink_queue"),
)
def unconfirmed_list(lab: Lab) -> FactDict:
    """Are entries visible whose first packet is still on its way?

    Two packets of two flows wait in an NFQUEUE in FORWARD, without a verdict: their entries exist
    and count towards the limit, but are not yet in the table.
    """
    router = lab.router()
    lab.chain("forward filter", "udp dport 53 queue num 0")
    queue = lab.queue(0)
    for port in (5000, 5001):
        router.from_client(udp(f"10.0.1.2:{port}", "10.0.2.2:53"))
    waiting = queue.waiting(2)
    facts: FactDict = {"count": lab.conntrack.count(), "dump": len(lab.flows())}
    try:
        facts["unconfirmed"] = str(len(lab.conntrack.flows(kind=ctnetlink.GET_UNCONFIRMED)))
    except OSError as error:
        facts["unconfirmed"] = errno_name(error)
    for packet in waiting:
        queue.accept(packet)
    lab.until("both entries to be in the table", lambda: len(lab.conntrack.flows()) == 2, 5)
    return facts | {"after": lab.conntrack.count()}


_ATTRIBUTES = {
    ctnetlink.STATUS: "status", ctnetlink.PROTOINFO: "protoinfo", ctnetlink.TIMEOUT: "timeout",
    ctnetlink.MARK: "mark",
    ctnetlink.COUNTERS_ORIG: "counters", ctnetlink.TIMESTAMP: "timestamp", ctnetlink.LABELS: "labels",
    26: "status_mask",
    27: "timestamp_event",
}  # fmt: skip


@experiment(
    facts=[
        Fact("default", str, "nf_conntrack_events in a fresh namespace"),
        Fact("writes", dict, "per value: 1 if the kernel accepts it, else 0"),
        Fact("early", list, "per value: events heard of a flow that began after the listener did"),
        Fact("late", list, "per value: events heard of the end of a flow that began before the listener did"),
        Fact(
            "elsewhere",
            str,
            "events heard of a flow, by a listener that is later than it, where another namespace had one"
            " from the start; nf_conntrack_events as it is found",
        ),
        Fact("destroy", list, "what the event of a UDP flow's end carries, beside its tuples"),
        Fact(
            "destroy_state",
            list,
            "the TCP state that the event of a connection's end names: of an established, of a closed one",
        ),
    ],
    variants={"scope": SCOPES},
)
def late_event_listener(lab: Lab) -> FactDict:
    """Does a listener hear the end of flows that are older than itself?

    For each value of nf_conntrack_events in a fresh namespace: a UDP flow, then a listener for
    events, a second flow and two TCP connections, one of them closed by both sides; then all are
    deleted. With accounting and timestamps on, so that the last event could carry the flow's bytes
    and its times: flow logs depend on it. At last a late listener once more, while one in another
    namespace has been there all the time.
    """
    facts: FactDict = {
        "default": lab.read_sysctl(_EVENTS),
        "writes": {},
        "early": [],
        "late": [],
        "destroy": [],
        "destroy_state": [],
    }
    for value in ("0", "1", "2"):
        place = lab.new_namespace()
        router = place.router()
        place.sysctl("net/netfilter/nf_conntrack_acct", 1)
        place.sysctl("net/netfilter/nf_conntrack_timestamp", 1)
        written = place.try_sysctl(_EVENTS, value)
        facts["writes"][value] = int(written == "ok")
        if written != "ok":
            continue
        router.from_client(udp("10.0.1.2:5000", "10.0.2.2:53"))
        listener = place.events()
        router.from_client(udp("10.0.1.2:5001", "10.0.2.2:53"))
        router.handshake(5002)
        client, server = router.handshake(5003)
        client.fin()
        server.fin()
        client.ack()
        for flow in place.flows():
            place.conntrack.delete(flow)
        heard = list(listener.heard(0.3))
        # A listener anywhere counts as one everywhere: the next value must not find this one.
        listener.close()
        for name, port in (("late", 5000), ("early", 5001)):
            kinds = [kind for kind, flow in heard if flow.orig.sport == port]
            facts[name].append(f"{value}: {' '.join(kinds) or 'nothing'}")
        if value == "1":
            ends = {flow.orig.sport: flow for kind, flow in heard if kind == "DESTROY"}
            facts["destroy"] = [
                name for number, name in _ATTRIBUTES.items() if number in ends[5001].attributes
            ]
            facts["destroy_state"] = [ends[port].state or "none" for port in (5002, 5003)]
    return facts | {"elsewhere": _heard_late(lab)}


def _heard_late(lab: Lab) -> str:
    early = lab.events()
    place = lab.new_namespace()
    router = place.router()
    router.from_client(udp("10.0.1.2:5000", "10.0.2.2:53"))
    late = place.events()
    for flow in place.flows():
        place.conntrack.delete(flow)
    heard = " ".join(kind for kind, _ in late.heard(0.3))
    early.close()
    return heard or "nothing"


@experiment(
    facts=[
        Fact("dumped", list, "zones of the flows that a dump of zone 1 lists"),
        Fact("left", list, "zones of the flows left after a flush of zone 1"),
    ],
    invariants=[
        Invariant(
            "a flush of zone 1 ends zone 1", lambda facts, variant: set(facts["left"]) <= {"zone 0", "zone 2"}
        )
    ],
    variants={"scope": SCOPES},
)
def zone_dump_flush(lab: Lab) -> FactDict:
    """Does a dump or a flush that is restricted to one zone stay in it?

    Three flows, in the zones 0 (the default), 1 and 2; then ctnetlink requests that carry CTA_ZONE
    = 1. A node agent that flushes one tenant's zone must not end the connections of others.
    """
    router = lab.router()
    lab.chain("prerouting raw", "udp sport 5001 ct zone set 1", "udp sport 5002 ct zone set 2")
    for port in (5000, 5001, 5002):
        router.from_client(udp(f"10.0.1.2:{port}", "10.0.2.2:53"))
    zone = attribute(ctnetlink.ZONE, struct.pack(">H", 1))
    dumped = [f"zone {flow.zone}" for flow in lab.conntrack.flows(zone)]
    lab.conntrack.flush(zone)
    return {"dumped": dumped, "left": [f"zone {flow.zone}" for flow in lab.flows()]}


@experiment(
    facts=[
        Fact("one", str, "flows that a dump filtered by one source lists, or the errno"),
        Fact("nobody", str, "flows that a dump filtered by a source without flows lists, or the errno"),
        Fact("port", str, "flows that a dump filtered by one destination port lists, or the errno"),
        Fact("flush", str, "flows that a flush filtered by one source leaves, or the errno"),
    ],
    variants={"family": FAMILIES, "scope": SCOPES},
)
def dump_filter(lab: Lab) -> FactDict:
    """Does the kernel itself filter a dump by address and port?

    Three flows from three sources, two of them to port 53; dumps with CTA_FILTER on the source
    address and on the destination port, then a flush with one on the source address. `conntrack -L
    -s` on a large table is affordable only where the kernel filters, and where it does not filter a
    flush the entries of one address have to be deleted one by one.
    """
    router = lab.router()
    for host, port in ((2, 53), (3, 53), (4, 80)):
        router.from_client(udp(endpoint(neighbour(lab.client, host), 5000), endpoint(lab.server, port)))
    family = lab.family.af

    def source(address: str) -> tuple[bytes, int]:
        return ctnetlink.pack_tuple(ctnetlink.TUPLE_ORIG, ctnetlink.Tuple(address, address, 17)), 1 << 0

    def dumped(packed: bytes, flags: int) -> str:
        return _count_or_errno(lambda: len(lab.conntrack.flows(packed, _filter(flags), family=family)))

    def left(packed: bytes, flags: int) -> int:
        lab.conntrack.flush(packed, _filter(flags), family=family)
        return len(lab.flows())

    to_dns = (
        ctnetlink.pack_tuple(ctnetlink.TUPLE_ORIG, ctnetlink.Tuple(lab.client, lab.client, 17, 0, 53)),
        1 << 3 | 1 << 5,
    )
    facts: FactDict = {
        "one": dumped(*source(lab.client)),
        "nobody": dumped(*source(neighbour(lab.client, 9))),
        "port": dumped(*to_dns),
    }
    return facts | {"flush": _count_or_errno(lambda: left(*source(lab.client)))}


def _filter(flags: int) -> bytes:
    # CTA_FILTER_ORIG_FLAGS: bit 0 the source, 1 the destination, 2 the zone, 3 the protocol, 4 the
    # source port, 5 the destination port
    return nested(ctnetlink.FILTER, attribute(1, flags), attribute(2, 0))


def _count_or_errno(count: Callable[[], int]) -> str:
    try:
        return str(count())
    except OSError as error:
        return errno_name(error)
