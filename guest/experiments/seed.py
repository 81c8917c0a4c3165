"""The seed: what a flood of SYNs does to the table, with room and without."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from guest.catalogue import Fact, Facts, Invariant, experiment
from guest.lab import Lab
from guest.lab.packets import parse, tcp, with_ports
from guest.lab.tun import Tun
from guest.observe.ctnetlink import states

_RULES = """
    *raw
    -A PREROUTING -m comment --comment raw -j CT
    {drop}
    *mangle
    -A PREROUTING -m comment --comment mangle
"""
_COUNTED = (
    Fact("packets", int, "SYNs that the tun handed to the kernel"),
    Fact("flows", int, "flows in the table afterwards"),
    Fact("flow_states", dict, "how many flows are in each TCP state"),
    Fact("raw_packets", int, "packets counted in raw PREROUTING, before connection tracking"),
    Fact("mangle_packets", int, "packets counted in mangle PREROUTING, after connection tracking"),
)
_MAX = "net/netfilter/nf_conntrack_max"
_VARIANTS = {"frontend": ("legacy", "nft"), "scope": ("user", "root")}


def _counted(lab: Lab, wire: Tun) -> Facts:
    flows = lab.flows()
    counters = lab.counters()
    return {
        "packets": lab.links.counts(wire.name).received,
        "flows": len(flows),
        "flow_states": states(flows),
        "raw_packets": counters.packets("raw"),
        "mangle_packets": counters.packets("mangle"),
    }


def _ten_syns() -> list[bytes]:
    return with_ports(tcp("198.18.0.2:10000", "192.0.2.1:80"), range(10000, 10010))


@experiment(
    facts=_COUNTED,
    invariants=[
        Invariant(
            "ten SYNs are ten packets, ten flows in SYN_SENT, and are counted before and after connection tracking",
            lambda facts, variant: (
                facts["packets"] == facts["flows"] == facts["raw_packets"] == facts["mangle_packets"] == 10
                and facts["flow_states"] == {"SYN_SENT": 10}
            ),
        )
    ],
    variants=_VARIANTS,
)
def baseline(lab: Lab) -> Facts:
    """Do ten SYNs to a port nobody listens on make ten flows?

    Ten SYNs from 198.18.0.2, source ports 10000 to 10009, arrive for 192.0.2.1:80 through a tun. `raw PREROUTING -j CT` switches connection
    tracking on; a rule without a target in mangle PREROUTING counts what is left after it. The stack's RSTs are dropped in raw OUTPUT, so
    that no flow is closed by them.
    """
    wire = lab.host()
    lab.iptables(_RULES.format(drop="-A OUTPUT -p tcp --sport 80 -j DROP"))
    wire.send(*_ten_syns())
    return _counted(lab, wire)


@experiment(
    facts=[
        *_COUNTED,
        Fact("namespace_limit", str, "what the kernel says when the namespace sets nf_conntrack_max itself: ok or an errno"),
        Fact("drop", int, "packets dropped for want of room, as the table's statistics count them"),
        Fact("early_drop", int, "flows evicted to make room"),
        Fact("insert_failed", int, "flows that could not be put into the table"),
        Fact("dmesg", list, "what the kernel logged, each line once, numbers replaced by N"),
        Fact("dmesg_lines", int, "how many lines the kernel logged about the full table, with its rate limit off"),
    ],
    invariants=[
        Invariant(
            "ten SYNs against a limit of seven leave seven flows; the other three are dropped between raw and mangle",
            lambda facts, variant: (
                facts["packets"] == facts["raw_packets"] == 10
                and facts["flows"] == facts["mangle_packets"] == 7
                and facts["flow_states"] == {"SYN_SENT": 7}
                and facts["drop"] == 3
            ),
        )
    ],
    variants=_VARIANTS,
)
def table_full(lab: Lab) -> Facts:
    """Where and how are packets lost when the table is full?

    As `baseline`, with nf_conntrack_max at 7. The limit is set in the guest's initial namespace, where it belongs to the whole machine;
    whether the namespace could have set it is tried first. The seven flows are young and unassured: early drop could evict one of
    them for a newcomer, but spares all that were used within the same hash bucket scan, so the statistics tell who lost.
    """
    own = lab.try_sysctl(_MAX, 7)
    lab.root.write(f"/proc/sys/{_MAX}", 7)
    wire = lab.host()
    lab.iptables(_RULES.format(drop="-A OUTPUT -p tcp --sport 80 -j DROP"))
    wire.send(*_ten_syns())
    facts = _counted(lab, wire)
    statistics = lab.statistics()
    full = [line for line in lab.root.dmesg() if "table full" in line]
    return facts | {
        "namespace_limit": own,
        **{name: statistics[name] for name in ("drop", "early_drop", "insert_failed")},
        "dmesg": sorted({re.sub(r"\d+", "N", line) for line in full}),
        "dmesg_lines": len(full),
    }


@experiment(
    facts=[
        *_COUNTED,
        Fact("synacks", int, "SYN+ACKs that came out of the tun"),
        Fact("request_sockets", int, "half-open connections the listener holds"),
        Fact("cookies", int, "SYN cookies sent"),
        Fact("accepted", int, "connections the program could accept"),
    ],
    invariants=[
        Invariant(
            "every SYN that gets past connection tracking is answered, and none is accepted without its ACK",
            lambda facts, variant: facts["synacks"] == facts["mangle_packets"] and facts["accepted"] == 0,
        ),
        Invariant(
            "with room ten flows wait for the ACK, with a limit of seven seven",
            lambda facts, variant: facts["flow_states"] == {"SYN_RECV": 10 if variant["table"] == "room" else 7},
        ),
    ],
    variants={"table": ("room", "full"), **_VARIANTS},
)
def syn_flood_listener(lab: Lab) -> Facts:
    """What does a SYN flood against a listening socket leave, with room in the table and without?

    The flood of `baseline` against a socket that listens on 192.0.2.1:80 with a backlog of 4, SYN cookies on as by default. `full` sets
    nf_conntrack_max to 7 in the initial namespace first. SYN+ACKs are counted where they leave, half-open connections in /proc/net/tcp,
    cookies in /proc/net/netstat.
    """
    if lab.variant["table"] == "full":
        lab.root.write(f"/proc/sys/{_MAX}", 7)
    wire = lab.host()
    lab.iptables(_RULES.format(drop=""))
    with socket.create_server(("192.0.2.1", 80), backlog=4) as listener:
        listener.setblocking(False)
        wire.send(*_ten_syns())
        answers = [parse(data) for data in wire.read()]
        facts = _counted(lab, wire) | {
            "synacks": sum(answer["TCP"].flags == "SA" for answer in answers),
            "request_sockets": sum(line.split()[3] == "03" for line in Path("/proc/net/tcp").read_text().splitlines()[1:]),
            "cookies": lab.netstat()["SyncookiesSent"],
            "accepted": 0,
        }
        try:
            listener.accept()
        except BlockingIOError:
            return facts
        return facts | {"accepted": 1}
