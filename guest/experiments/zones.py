"""Conntrack zones: the same addresses twice, kept apart."""

from __future__ import annotations

import struct
import time
from typing import Annotated

from guest.catalogue import FAMILIES, IPTABLES, SCOPES, Fact, FactDict, Facts, Invariant, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.packets import endpoint, neighbour, ports, tcp, udp

_ZONED = """
    *raw
    -A PREROUTING -i tun0 -j CT {one}
    -A PREROUTING -i tun2 -j CT {two}
    -A OUTPUT -p tcp --sport 80 -j DROP
"""


@experiment(
    facts=[
        Fact("zones", list, "the zones of the flows when each tenant has its own"),
        Fact(
            "orig_only",
            int,
            "flows when the zone is set for the original direction only, so that the answers' tuples are the"
            " same",
        ),
        Fact("retransmitted", int, "flows after both SYNs came once more"),
    ],
    invariants=[
        Invariant(
            "two tenants with the same addresses are two flows in two zones",
            lambda facts, variant: facts["zones"] == ["1", "2"] and facts["retransmitted"] == 2,
        )
    ],
    variants={"frontend": IPTABLES, "scope": SCOPES},
)
def zones_same_tuple(lab: Lab) -> FactDict:
    """Can two tenants with the same addresses and ports be tracked apart?

    The same SYN, 198.18.0.2:10000 to 192.0.2.1:80, arrives through tun0 and through tun2, twice:
    with `CT --zone 1` and `2`, and with `--zone-orig`, which leaves the answers' direction
    in zone 0; there the second tenant's entry would be answered by the first's packets. Overlapping
    customer networks and containers rely on it.
    """
    facts: FactDict = {}
    for name, one, two in (
        ("zones", "--zone 1", "--zone 2"),
        ("orig_only", "--zone-orig 1", "--zone-orig 2"),
    ):
        place = lab.new_namespace()
        wires = [place.host(), place.tun("tun2")]
        place.iptables(_ZONED.format(one=one, two=two))
        syn = tcp("198.18.0.2:10000", "192.0.2.1:80")
        for wire in wires:
            wire.send(syn)
        flows = place.flows()
        facts[name] = len(flows)
        if name == "zones":
            facts["zones"] = sorted(str(flow.zone) for flow in flows)
            for wire in wires:
                wire.send(syn)
            facts["retransmitted"] = len(place.flows())
    return facts


@experiment(
    facts=[
        Fact(
            "same_zone",
            str,
            "the second tenant's source port when both are masqueraded in one zone each: kept, another, or"
            " lost",
        ),
        Fact(
            "orig_zone",
            str,
            "the same when only the original direction has a zone, so that answers share zone 0",
        ),
        Fact(
            "answers",
            list,
            "per kind of zone: whether an answer to each tenant's port finds its way back: first, second,"
            " lost",
        ),
    ],
    variants={"family": FAMILIES},
)
def zones_nat(lab: Lab) -> FactDict:
    """Does masquerading keep the answers of two tenants with the same addresses apart?

    Both tenants, 10.0.1.2:40000 behind tun0 and behind tun2, send UDP to 10.0.2.2:53 and are
    masqueraded as 10.0.2.1. With a whole zone each, both may keep port 40000, and an answer, which
    arrives in zone 0, can belong to neither. With a zone for the original direction only, answers
    share a zone and their ports must differ. Marks are not used to route answers back, so a found
    answer leaves by the route to 10.0.1.0/24.
    """
    facts: FactDict = {}
    answers = []
    for name, zone in (("same_zone", "ct zone set"), ("orig_zone", "ct original zone set")):
        place = lab.new_namespace()
        router = place.router(states=False)
        other = place.tun("tun2")
        place.chain("prerouting raw", f"iif tun0 {zone} 1", f"iif tun2 {zone} 2")
        place.chain("postrouting nat", "oif tun1 masquerade")
        question, _ = router.udp()
        router.from_client(question)
        first = ports(router.out[0])[0] if router.out else 0
        other.send(question)
        out = router.server.read()
        second = ports(out[0])[0] if out else 0
        place.flows()
        lab.journal.note(f"{name}: first tenant's port {first}, second tenant's {second}")
        facts[name] = "lost" if not second else "kept" if second == first else "another"
        router.from_server(
            udp(endpoint(router.server_address, 53), endpoint(neighbour(router.server_address, 1), first))
        )
        found = "reached" if any(ports(data) == (53, 40000) for data in router.out) else "lost"
        answers.append(f"{name}: {found}")
    return facts | {"answers": answers}


class ZonesMany(Facts):
    """Facts of `zones-many`."""

    held: Annotated[str, "flows in the table of 8,000 with one tuple in as many zones: all, or some"]
    refused: Annotated[str, "flows that the statistics count as refused for the length of their chain"]
    per_flow: Annotated[
        str, "time to make a flow when there are thousands, against the first hundreds: alike, or longer"
    ]


_ZONES, _FIRST = 8000, 500


def _identified(packet: bytes, number: int) -> bytes:
    """The IPv4 packet with another identification. To have Scapy build thousands takes minutes."""
    words = list(struct.unpack(">10H", packet[:20]))
    words[2], words[5] = number, 0
    total = sum(words)
    words[5] = ~(total + (total >> 16)) & 0xFFFF
    return struct.pack(">10H", *words) + packet[20:]


@experiment(seconds=120)
def zones_many(lab: Lab) -> ZonesMany:
    """Do many tenants with the same addresses and ports crowd one chain of the hash table?

    One UDP packet, 198.18.0.2:10000 to 192.0.2.1:53, in 8,000 zones, one for each value of its IP
    identification. Where zones are no part of the hash all are in one chain: each new flow takes
    longer, or is refused.
    """
    lab.root.sysctl(sysctls.MAX, 100_000)
    lab.root.sysctl(sysctls.BUCKETS, 16_384)
    wire = lab.host()
    lab.chain("prerouting raw", "ct zone set ip id")
    lab.chain("output raw", "drop")
    packet = bytes(udp("198.18.0.2:10000", "192.0.2.1:53"))
    packets = [_identified(packet, number) for number in range(1, _ZONES + 1)]

    def seconds(some: list[bytes]) -> float:
        start = time.process_time()
        wire.flood(some)
        return (time.process_time() - start) / len(some)

    first = seconds(packets[:_FIRST])
    seconds(packets[_FIRST:-_FIRST])
    last = seconds(packets[-_FIRST:])
    statistics = lab.statistics()
    count = lab.conntrack.count()
    lab.journal.note(f"{count} flows, {first * 1e6:.0f} and {last * 1e6:.0f} us per flow, {statistics}")
    toolong = statistics.get("chain_toolong")
    return ZonesMany(
        held="all" if count == _ZONES else "some",
        refused="not counted" if toolong is None else "some" if toolong else "none",
        per_flow="alike" if last < 2 * first else "longer",
    )
