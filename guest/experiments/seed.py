"""The seed: what a flood of SYNs does to the table, with room and without."""

from __future__ import annotations

import re
import select
import socket
from pathlib import Path
from typing import Annotated

from guest.catalogue import FAMILIES, IPTABLES, SCOPES, FactDict, Facts, Guard, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import Packet, endpoint, parse, tcp, with_ports
from guest.lab.tun import Tun
from guest.observe.ctnetlink import states

_RULES = """
    *raw
    -A PREROUTING -m comment --comment raw -j CT
    {drop}
    *mangle
    -A PREROUTING -m comment --comment mangle
"""
# A rule that matches none of the packets: over nf_tables a chain without a rule is not there, nor
# its policy.
_INPUT = """
    *filter
    -A INPUT -p udp
"""
_VARIANTS = {"frontend": IPTABLES, "scope": SCOPES}


class Counted(Facts):
    """What each experiment here counts."""

    packets: Annotated[int, "SYNs that the tun handed to the kernel"]
    flows: Annotated[int, "flows in the table afterwards"]
    flow_states: Annotated[dict[str, int], "how many flows are in each TCP state"]
    raw_packets: Annotated[int, "packets counted in raw PREROUTING, before connection tracking"]
    mangle_packets: Annotated[int, "packets counted in mangle PREROUTING, after connection tracking"]


def _counted(place: Namespace, wire: Tun) -> FactDict:
    """The facts of Counted, as arguments for it and for classes made from it."""
    flows = place.flows()
    counters = place.counters()
    return {
        "packets": place.links.counts(wire.name).received,
        "flows": len(flows),
        "flow_states": states(flows),
        "raw_packets": counters.packets("raw"),
        "mangle_packets": counters.packets("mangle"),
    }


def _ten_syns(lab: Lab) -> list[bytes]:
    return with_ports(tcp(endpoint(lab.distant, 1), endpoint(lab.local, 80)), range(10000, 10010))


@experiment(variants={"family": FAMILIES, **_VARIANTS})
def baseline(lab: Lab) -> Counted:
    """Do ten SYNs to a port without a listener make ten flows?

    Ten SYNs from 198.18.0.2 (2001:db8:18::2), source ports 10000 to 10009, arrive for 192.0.2.1:80
    (2001:db8:2::1) through a tun. `raw PREROUTING -j CT` switches connection tracking on; a rule
    without a target in mangle PREROUTING counts what is left after it. The stack's RSTs are dropped
    in raw OUTPUT, so that no flow is closed by them.
    """
    wire = lab.host()
    lab.iptables(_RULES.format(drop="-A OUTPUT -p tcp --sport 80 -j DROP"))
    wire.send(*_ten_syns(lab))
    return Counted(**_counted(lab, wire))


@baseline.invariant(
    "ten SYNs are ten packets, ten flows in SYN_SENT, and are counted before and after connection tracking"
)
def _(facts: Counted) -> bool:
    counts = (facts.packets, facts.flows, facts.raw_packets, facts.mangle_packets)
    return set(counts) == {10} and facts.flow_states == {"SYN_SENT": 10}


class TableFull(Counted):
    """Facts of `table-full`."""

    namespace_limit: Annotated[
        str,
        "what the kernel says when the namespace sets nf_conntrack_max itself: ok or an errno",
        Guard("no container may change the limit of the whole machine"),
    ]
    policies: Annotated[
        dict[str, int], "packets that the policies of mangle PREROUTING and of filter INPUT count"
    ]
    drop: Annotated[int, "packets dropped for want of room, as the table's statistics count them"]
    insert_failed: Annotated[
        int,
        "flows that could not be put into the table",
        Guard("a full table must not be counted as a clash of tuples, which has other causes"),
    ]
    dmesg: Annotated[list[str], "what the kernel logged, each line once, numbers replaced by N"]
    dmesg_lines: Annotated[
        int, "how many lines the kernel logged about the full table, with its rate limit off"
    ]


@experiment(variants={"family": FAMILIES, **_VARIANTS})
def table_full(lab: Lab) -> TableFull:
    """Where and how are packets lost when the table is full?

    As `baseline`, with nf_conntrack_max at 7. The limit is set in the guest's initial namespace,
    where it belongs to the whole machine; whether the namespace could have set it is tried first. A
    new flow that by its hash finds one of the seven within eight buckets evicts it; such tries are
    repeated.
    """
    own = lab.try_sysctl(sysctls.MAX, 7)
    lab.root.sysctl(sysctls.MAX, 7)
    for place in lab.undisturbed():
        earlier = len(lab.root.dmesg())
        wire = place.host()
        place.iptables(_RULES.format(drop="-A OUTPUT -p tcp --sport 80 -j DROP") + _INPUT)
        wire.send(*_ten_syns(lab))
        statistics = place.statistics()
        policies = place.counters().policies
        full = [line for line in lab.root.dmesg()[earlier:] if "table full" in line]
        facts = TableFull(
            **_counted(place, wire),
            namespace_limit=own,
            policies={
                f"{table} {chain}": policies[table, chain].packets
                for table, chain in (("mangle", "PREROUTING"), ("filter", "INPUT"))
            },
            drop=statistics["drop"],
            insert_failed=statistics["insert_failed"],
            dmesg=sorted({re.sub(r"\d+", "N", line) for line in full}),
            dmesg_lines=len(full),
        )
    return facts


@table_full.invariant(
    "ten SYNs against a limit of seven leave seven flows; the other three are dropped between raw and mangle"
)
def _(facts: TableFull) -> bool:
    return (
        facts.packets == facts.raw_packets == 10
        and facts.flows == facts.mangle_packets == 7
        and facts.flow_states == {"SYN_SENT": 7}
        and facts.drop == 3
    )


class SynFloodListener(Counted):
    """Facts of `syn-flood-listener`."""

    synacks: Annotated[int, "SYN+ACKs that came out of the tun"]
    request_sockets: Annotated[int, "half-open connections the listener holds"]
    cookies: Annotated[int, "SYN cookies sent"]
    accepted: Annotated[
        dict[str, int],
        "connections that could be accepted: before any ACK, after that of the first SYN+ACK (half-open), and"
        " after that of the last (cookie)",
    ]


@experiment(
    variants={"table": ("room", "full"), **_VARIANTS},
    alone="half-open connections hold its network namespace until they expire",
)
def syn_flood_listener(lab: Lab) -> SynFloodListener:
    """What does a SYN flood against a listening socket leave, with room in the table and without?

    The flood of `baseline` against a socket that listens on 192.0.2.1:80 with a backlog of 4, SYN
    cookies on as by default. `full` sets nf_conntrack_max to 7 in the initial namespace first.
    SYN+ACKs are counted where they leave, half-open connections in /proc/net/tcp, cookies in
    /proc/net/netstat. Then two of the ten clients complete their handshake: the first, which the
    listener remembers, and the last that was answered, by a cookie. Tries that early drop disturbed
    are repeated, as in `table-full`.
    """
    if lab.variant["table"] == "full":
        lab.root.sysctl(sysctls.MAX, 7)
    for place in lab.undisturbed():
        wire = place.host()
        place.iptables(_RULES.format(drop=""))
        with place.inside(), socket.create_server(("192.0.2.1", 80), backlog=4) as listener:
            wire.send(*_ten_syns(lab))
            synacks = [answer for answer in map(parse, wire.read()) if answer["TCP"].flags == "SA"]
            counted = _counted(place, wire)
            half_open = sum(
                line.split()[3] == "03" for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            )
            accepted = {"before": _accepted(listener)}
            for name, synack in zip(("half-open", "cookie"), (*synacks[:1], *synacks[-1:]), strict=False):
                wire.send(_third(synack))
                accepted[name] = _accepted(listener)
            facts = SynFloodListener(
                **counted,
                synacks=len(synacks),
                request_sockets=half_open,
                cookies=place.netstat()["SyncookiesSent"],
                accepted=accepted,
            )
    return facts


def _third(synack: Packet) -> Packet:
    """The ACK that completes the handshake of a SYN+ACK."""
    segment = synack["TCP"]
    return tcp(
        endpoint(synack.dst, segment.dport),
        endpoint(synack.src, segment.sport),
        "A",
        seq=segment.ack,
        ack=segment.seq + 1,
    )


def _accepted(listener: socket.socket) -> int:
    """Accepts what waits to be accepted, and closes it; returns how many connections these were."""
    number = 0
    while select.select([listener], [], [], 0)[0]:
        listener.accept()[0].close()
        number += 1
    return number


@syn_flood_listener.invariant(
    "every SYN that gets past connection tracking is answered, and none is accepted without its ACK"
)
def _(facts: SynFloodListener) -> bool:
    return facts.synacks == facts.mangle_packets and facts.accepted["before"] == 0


@syn_flood_listener.invariant("with room ten flows wait for the ACK", when={"table": "room"})
def _(facts: SynFloodListener) -> bool:
    return facts.flow_states == {"SYN_RECV": 10}


@syn_flood_listener.invariant("with a limit of seven, seven flows wait for the ACK", when={"table": "full"})
def _(facts: SynFloodListener) -> bool:
    return facts.flow_states == {"SYN_RECV": 7}
