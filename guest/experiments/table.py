"""The table itself: its size, its limit, and which entries are evicted when it is full."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from guest.catalogue import SCOPES, Fact, FactDict, Invariant, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import tcp, udp, with_ports
from guest.lab.tun import Tun

_NETFILTER = "net/netfilter"


def _tracking_host(place: Namespace) -> Tun:
    place.track()
    return place.host()


def _datagrams(count: int, first: int = 10000) -> list[bytes]:
    return with_ports(udp("198.18.0.2:1", "192.0.2.1:53"), range(first, first + count))


@experiment(
    facts=[
        Fact(
            "write",
            str,
            "what the kernel says when the child namespace sets it to 3: ok or an errno",
            guard="no container may change the limit of the whole machine",
        ),
        Fact("first", int, "flows in the first namespace after 10 packets, the machine's limit at 7"),
        Fact("second", int, "flows in the second namespace after 10 packets"),
        Fact("initial_sees", str, "the limit as the second namespace reads it"),
    ],
    invariants=[
        Invariant(
            "no namespace holds more than the machine's limit",
            lambda facts, variant: facts["first"] <= 7 and facts["second"] <= 7,
        )
    ],
    variants={"scope": SCOPES},
)
def namespace_limit(lab: Lab) -> FactDict:
    """Can a namespace have its own limit, and does one full namespace starve another?

    nf_conntrack_max is set to 7 in the initial namespace. A child namespace tries to set its own to
    3. Then ten UDP packets from ten ports each go to two child namespaces, one after the other.
    Containers share the machine's limit; whether they share its room is the question.
    """
    write = lab.try_sysctl(sysctls.MAX, 3)
    lab.root.sysctl(sysctls.MAX, 7)
    facts: FactDict = {"write": write}
    for name in ("first", "second"):
        place = lab.new_namespace()
        _tracking_host(place).send(*_datagrams(10))
        facts[name] = place.conntrack.count()
        facts["initial_sees"] = place.read_sysctl(sysctls.MAX)
    return facts


@experiment(
    facts=[
        Fact("write", dict, "per value written to nf_conntrack_max: 1 if the kernel accepted it, else 0"),
        Fact("read", dict, "per value: what reads back"),
        Fact("flows", dict, "per value: flows in a fresh namespace after 20 packets"),
    ],
)
def max_zero(lab: Lab) -> FactDict:
    """Does nf_conntrack_max = 0 mean no limit or no room, and what does -1 mean?

    Written in the initial namespace, where the limit is set to 10 before; then twenty UDP packets
    from twenty ports go to a fresh namespace: 10 flows where the write was refused, 20 without a
    limit, none without room.
    """
    facts: FactDict = {"write": {}, "read": {}, "flows": {}}
    for value in ("0", "-1", "1"):
        lab.root.sysctl(sysctls.MAX, 10)
        facts["write"][value] = int(lab.root.try_sysctl(sysctls.MAX, value) == "ok")
        facts["read"][value] = int(lab.root.read(f"/proc/sys/{sysctls.MAX}"))
        place = lab.new_namespace()
        _tracking_host(place).send(*_datagrams(20))
        facts["flows"][value] = place.conntrack.count()
    return facts


@experiment(
    facts=[
        Fact("kib_per_bucket", int, "KiB of memory per hash bucket by default, as the nearest power of two"),
        Fact("max_per_bucket", int, "nf_conntrack_max by default, per bucket"),
        Fact("written", dict, "number of buckets requested: number that reads back"),
        Fact(
            "max_follows",
            bool,
            "whether nf_conntrack_max changes with the number of buckets",
            guard="whoever resizes the table must not find another limit as well",
        ),
        Fact(
            "child_write",
            str,
            "what the kernel says when a child namespace sets the number of buckets",
            guard="no container may resize the table of the whole machine",
        ),
    ],
    variants={"memory": ("512", "2048", "5120")},
)
def default_table_size(lab: Lab) -> FactDict:
    """How big is the table by default, and what does the kernel make of a requested number of
    buckets?

    Read in the initial namespace as booted, then written there: 1, 1000, 5000 and 70000. memory: of
    the machine, in MiB. The default depends on it, in other steps on other kernels: a limit that
    was enough for years may be another after an upgrade, without any setting.
    """
    memory = int(re.search(r"MemTotal:\s+(\d+)", lab.root.read("/proc/meminfo"))[1])  # type: ignore[index]
    buckets, limit = (int(lab.root.read(f"/proc/sys/{name}")) for name in (sysctls.BUCKETS, sysctls.MAX))
    written = {}
    for value in (1, 1000, 5000, 70000):
        lab.root.try_sysctl(sysctls.BUCKETS, value)
        written[str(value)] = int(lab.root.read(f"/proc/sys/{sysctls.BUCKETS}"))
    return {
        "kib_per_bucket": 1 << round(math.log2(memory / buckets)),
        "max_per_bucket": limit // buckets,
        "written": written,
        "max_follows": int(lab.root.read(f"/proc/sys/{sysctls.MAX}")) != limit,
        "child_write": lab.try_sysctl(sysctls.BUCKETS, 4096),
    }


@experiment(
    facts=[
        Fact("sent", int, "flows sent, each by one packet"),
        Fact("held", str, "all if every flow is in the table, else some"),
        Fact(
            "refused",
            str,
            "flows that the statistics count as refused for the length of their chain: none, some, or not"
            " counted by this kernel",
        ),
        Fact("insert_failed", str, "none or some flows failed to be inserted"),
    ],
    seconds=90,
)
def chain_toolong(lab: Lab) -> FactDict:
    """Is there a limit on how long a chain of the hash table may become?

    512 buckets, a limit of 200000, 24000 UDP flows: 47 entries per bucket and direction on average,
    94 together. A kernel with a limit refuses some flows though the table is far from full, and
    counts them as chaintoolong.
    """
    lab.root.sysctl(sysctls.MAX, 200000)
    lab.root.sysctl(sysctls.BUCKETS, 512)
    wire = _tracking_host(lab)
    wire.flood(_datagrams(24000, 1024))
    statistics = lab.statistics()
    held = lab.conntrack.count()
    lab.journal.note(f"{held} of 24000 flows held, statistics {statistics}")
    toolong = statistics.get("chain_toolong")
    return {
        "sent": lab.links.counts("tun0").received,
        "held": "all" if held == 24000 else "some",
        "refused": "not counted" if toolong is None else "some" if toolong else "none",
        "insert_failed": "some" if statistics["insert_failed"] else "none",
    }


@experiment(
    facts=[
        Fact(
            "flows", str, "flows after the flood: full (the limit, or up to ten short of it), more or fewer"
        ),
        Fact(
            "early_drop",
            str,
            "flows evicted for newcomers, of the 200 that found no room: few (under half) or most",
        ),
        Fact("drop", str, "newcomers dropped: few or most"),
        Fact(
            "assured_flows",
            str,
            "the same flood after 200 assured flows filled the table: how many of those are left, all or"
            " some",
        ),
        Fact("assured_early_drop", str, "flows evicted then: none or some"),
    ],
    variants={"buckets": ("512", "65536")},
    invariants=[
        Invariant(
            "early drop never evicts an assured flow", lambda facts, variant: facts["assured_flows"] == "all"
        ),
        Invariant("the limit holds", lambda facts, variant: facts["flows"] == "full"),
    ],
    seconds=60,
)
def early_drop(lab: Lab) -> FactDict:
    """Which entries are evicted when the table is full: none, old half-open connections, or assured
    ones?

    The limit is 200. 400 SYNs from 400 ports arrive: the second half finds no room, unless early
    drop finds an unassured flow within eight buckets of the newcomer's. With 512 buckets it nearly
    always does, with 65536 hardly ever. Then, in a fresh namespace, 200 UDP flows that were
    answered and used again after two seconds (assured) fill the table before 200 SYNs.
    """
    lab.root.sysctl(sysctls.BUCKETS, lab.variant["buckets"])
    lab.root.sysctl(sysctls.MAX, 200)
    syns = with_ports(tcp("198.18.0.2:1", "192.0.2.1:80"), range(10000, 10400))
    young = lab.new_namespace()
    wire = young.host()
    young.track()
    young.chain("output raw", "tcp sport 80 drop")
    wire.flood(syns)
    statistics = young.statistics()
    count = young.conntrack.count()

    def share(number: int) -> str:
        # By chance all eight buckets may be empty, one time in some hundred, or two flows be
        # evicted for one.
        return "few" if number < 100 else "most"

    facts = {
        "flows": "full" if 190 <= count <= 200 else "more" if count > 200 else "fewer",
        "early_drop": share(statistics["early_drop"]),
        "drop": share(statistics["drop"]),
    }
    lab.journal.note(f"{count} flows, statistics {statistics}")

    # With a table that is nearly full, garbage collection too would take flows that are not assured
    # yet.
    lab.root.sysctl(sysctls.MAX, 65536)
    router_place = lab.new_namespace()
    router = router_place.router()
    ports = range(10000, 10200)
    questions = with_ports(udp("10.0.1.2:1", "10.0.2.2:53"), ports)
    router.client.flood(questions)
    router.server.flood([bytes(udp("10.0.2.2:53", f"10.0.1.2:{port}")) for port in ports])
    # A UDP flow is assured by a packet that comes later than two seconds after its first.
    lab.pause(2.2)
    router.client.flood(questions)
    lab.journal.note(f"{sum(flow.assured for flow in router_place.flows())} assured flows before the flood")
    lab.root.sysctl(sysctls.MAX, 200)
    router.client.flood(with_ports(tcp("10.0.1.2:1", "10.0.2.2:80"), range(20000, 20200)))
    left = sum(flow.assured for flow in router_place.flows())
    return facts | {
        "assured_flows": "all" if left == 200 else "some",
        "assured_early_drop": "some" if router_place.statistics()["early_drop"] else "none",
    }


@experiment(
    facts=[
        Fact("names", list, "columns of /proc/net/stat/nf_conntrack"),
        Fact("netlink", list, "counters reported over netlink"),
        Fact(
            "moved",
            list,
            "columns that differ from zero after a new flow, a found one, an INVALID packet and a full table"
            " (but not early_drop)",
        ),
        Fact("entries_is", str, "what the column entries holds: the namespace's flows, or another number"),
    ],
)
def stat_columns(lab: Lab) -> FactDict:
    """Which statistics does the kernel keep, and which of them ever move?

    In one namespace: a new flow, a packet of the same flow, a packet with both SYN and FIN set
    (INVALID), and ten flows against a limit of 5. Columns that stay at zero through all that are of
    no use for monitoring these events.
    """
    wire = _tracking_host(lab)
    wire.send(*_datagrams(1), *_datagrams(1), tcp("198.18.0.2:9", "192.0.2.1:80", "SF"))
    lab.root.sysctl(sysctls.MAX, 5)
    wire.send(*_datagrams(10, 20000))
    rows = [line.split() for line in lab.read("/proc/net/stat/nf_conntrack").splitlines()]
    total = {name: sum(int(row[place], 16) for row in rows[1:]) for place, name in enumerate(rows[0])}
    lab.journal.note(f"{total}")
    entries = total.pop("entries")
    return {
        "names": rows[0],
        "netlink": sorted(lab.statistics()),
        # Whether there is a flow to evict within reach of a newcomer is up to the table's hash.
        "moved": [name for name, value in total.items() if value and name != "early_drop"],
        "entries_is": "flows of the namespace" if entries == lab.conntrack.count() else "another number",
    }


@experiment(
    facts=[
        Fact(
            "names",
            list,
            "files under net/netfilter in the initial namespace, without the prefix nf_conntrack_",
        ),
        Fact(
            "missing_in_child",
            list,
            "those of them that a child namespace does not show",
            guard="a knob that is withdrawn from containers shows here first",
        ),
        Fact(
            "refused_in_child",
            list,
            "those that a child namespace shows, but whose own value its root may not write back",
        ),
        Fact(
            "defaults", dict, "integer values in a fresh child namespace, except those that depend on memory"
        ),
        Fact(
            "buckets_per_expected",
            int,
            "buckets of the table per expected connection that is allowed",
            guard="a definition in the kernel's code; helpers fail where it allows less",
        ),
    ],
    variants={"scope": SCOPES},
)
def sysctl_inventory(lab: Lab) -> FactDict:
    """Which knobs of connection tracking exist, with which defaults, and which may a container set?

    Every file under /proc/sys/net/netfilter, in the initial and in a child namespace: connection
    tracking, flowtables, hooks and loggers. `nf_log` is a directory.
    """
    inside, outside = (
        set(names) for names in (lab.sysctl_names(_NETFILTER), lab.root.names(f"/proc/sys/{_NETFILTER}"))
    )
    values = {name: lab.read_sysctl(f"{_NETFILTER}/{name}") for name in sorted(inside - {"nf_log"})}
    refused = [
        name for name, value in values.items() if lab.try_sysctl(f"{_NETFILTER}/{name}", value) != "ok"
    ]
    by_memory = {f"nf_conntrack_{name}" for name in ("max", "buckets", "count", "expect_max")}
    return {
        "names": _short(outside),
        "missing_in_child": _short(outside - inside),
        "refused_in_child": _short(refused),
        "defaults": {
            name.removeprefix("nf_conntrack_"): int(value)
            for name, value in values.items()
            if name not in by_memory and value.lstrip("-").isdigit()
        },
        "buckets_per_expected": int(values["nf_conntrack_buckets"]) // int(values["nf_conntrack_expect_max"]),
    }


def _short(names: Iterable[str]) -> list[str]:
    return sorted(name.removeprefix("nf_conntrack_") for name in names)
