"""What an entry carries besides its tuples: marks, counters, timestamps."""

from __future__ import annotations

import time
from typing import Annotated

from guest.catalogue import IPTABLES, SCOPES, Fact, FactDict, Facts, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import udp
from guest.linux import errno_name
from guest.netlink import attribute, attributes
from guest.observe.ctnetlink import LABELS, NEW, TIMESTAMP, TUPLE_ORIG, Flow, pack_tuple


@experiment(
    facts=[
        Fact("mark", int, "the entry's mark after CONNMARK set it on the first packet"),
        Fact("masked", int, "the mark after a second rule set only the bits of 0xf0"),
        Fact("restored", int, "packets of the answer's direction that carry the restored mark"),
        Fact("label", str, "the entry's label bits after nft set label 3"),
        Fact(
            "after_delete",
            int,
            "the mark of the entry that the next packet makes after the first was deleted",
        ),
    ],
    invariants=[
        Invariant(
            "a mark stays with its entry, reaches the answer's packets, and dies with the entry",
            lambda facts, variant: facts["mark"] == 7 and facts["masked"] == 0x57 and facts["restored"] == 1,
        )
    ],
    variants={"frontend": IPTABLES, "scope": SCOPES},
)
def labels_marks(lab: Lab) -> FactDict:
    """Do marks and labels stay with a connection, and do its answers see them?

    A UDP packet from 10.0.1.2 sets mark 7, a second one sets 0x50 under the mask 0xf0; the server's
    answer has the mark restored to the packet and is counted by it. Policy routing and traffic
    shaping hang on this. After deletion the next packet starts from nothing.
    """
    router = lab.router(states=False)
    lab.chain("prerouting filter", "ct label set 3")
    lab.iptables("""
        *mangle
        -A PREROUTING -i tun0 -m length --length 32 -j CONNMARK --set-mark 7
        -A PREROUTING -i tun0 -m length --length 40 -j CONNMARK --set-xmark 0x50/0xf0
        -A PREROUTING -i tun1 -j CONNMARK --restore-mark
        -A PREROUTING -i tun1 -m mark --mark 0x57 -m comment --comment restored
        """)

    def mark() -> int:
        return lab.flow("10.0.1.2:40000").mark

    router.from_client(udp("10.0.1.2:40000", "10.0.2.2:53", b"1234"))
    facts: FactDict = {"mark": mark()}
    router.from_client(udp("10.0.1.2:40000", "10.0.2.2:53", b"123456789012"))
    facts["masked"] = mark()
    router.from_server(udp("10.0.2.2:53", "10.0.1.2:40000"))
    facts["restored"] = lab.counters().packets("restored")
    flow = lab.flow("10.0.1.2:40000")
    facts["label"] = bin(flow.labels) if flow else "gone"
    if flow:
        lab.conntrack.delete(flow)
    router.from_client(udp("10.0.1.2:40000", "10.0.2.2:53", b"1"))
    return facts | {"after_delete": mark()}


@experiment(
    facts=[
        Fact("defaults", list, "nf_conntrack_acct and nf_conntrack_timestamp in a fresh namespace"),
        Fact("without", str, "whether an entry made with accounting off has counters"),
        Fact("switched_on", str, "whether that entry gets counters once accounting is switched on"),
        Fact("packets", list, "packets of a new entry, its own direction and the answers'"),
        Fact("bytes", list, "bytes of that entry likewise, IP headers included"),
        Fact(
            "lasted",
            list,
            "whether the age of a flow of two seconds by the listing and the clock, and its duration by its"
            " last event, are right: right, wrong, or not said",
        ),
        Fact(
            "switched_off",
            list,
            "packets of that entry after accounting was switched off and one more went through",
        ),
    ],
    invariants=[
        Invariant(
            "three packets out and two back are counted exactly",
            lambda facts, variant: facts["packets"] == ["3", "2"] and facts["bytes"] == ["96", "64"],
        )
    ],
    variants={"scope": SCOPES},
)
def accounting_timestamps(lab: Lab) -> FactDict:
    """Are packets and bytes of a connection counted exactly, and from when on?

    UDP packets of 32 bytes through a router, three out and two back, with nf_conntrack_acct and
    nf_conntrack_timestamp switched on before the flow; another flow began before, and one packet
    follows after accounting is off again. The flow is deleted two seconds after it began. Billing
    and flow exporters read these.
    """
    router = lab.router(states=False)
    lab.track()
    names = ("nf_conntrack_acct", "nf_conntrack_timestamp")
    facts: FactDict = {"defaults": [f"{name} {lab.read_sysctl(f'net/netfilter/{name}')}" for name in names]}

    def counted(port: int) -> list[str]:
        flow = lab.flow(f"10.0.1.2:{port}")
        return [str(number) for number in flow.packets or ()]

    for name in names:
        lab.sysctl(f"net/netfilter/{name}", 0)
    router.from_client(udp("10.0.1.2:40000", "10.0.2.2:53", b"1234"))
    facts["without"] = "counters" if counted(40000) else "none"
    for name in names:
        lab.sysctl(f"net/netfilter/{name}", 1)
    router.from_client(udp("10.0.1.2:40000", "10.0.2.2:53", b"1234"))
    facts["switched_on"] = "counters" if counted(40000) else "none"
    events = lab.events()
    for _ in range(3):
        router.from_client(udp("10.0.1.2:40001", "10.0.2.2:53", b"1234"))
    started = time.monotonic()
    for _ in range(2):
        router.from_server(udp("10.0.2.2:53", "10.0.1.2:40001", b"1234"))
    flow = lab.flow("10.0.1.2:40001")
    facts["packets"] = counted(40001)
    facts["bytes"] = [str(number) for number in flow.bytes or ()]
    lab.sysctl("net/netfilter/nf_conntrack_acct", 0)
    router.from_client(udp("10.0.1.2:40001", "10.0.2.2:53", b"1234"))
    facts["switched_off"] = counted(40001)
    lab.until("the flow to be two seconds old", lambda: time.monotonic() - started > 2, 10)
    begun, _ = _times(lab.flow("10.0.1.2:40001"))
    facts["lasted"] = [f"listing: {_two_seconds(begun, time.time())}"]
    lab.conntrack.delete(flow)
    ends = [gone for kind, gone in events.heard(1) if kind == "DESTROY" and gone.orig.sport == 40001]
    begun, ended = _times(ends[0]) if ends else (0.0, 0.0)
    facts["lasted"].append(f"event: {_two_seconds(begun, ended)}")
    return facts


def _two_seconds(begun: float, ended: float) -> str:
    if not begun or not ended:
        return "not said"
    return "right" if 2 <= ended - begun < 20 else "wrong"


def _times(flow: Flow) -> tuple[float, float]:
    """When a flow began and ended, in seconds since 1970; 0 where it is not said."""
    found = attributes(flow.attributes.get(TIMESTAMP, b""))
    first, last = (int.from_bytes(found.get(kind, b""), "big") / 1e9 for kind in (1, 2))
    return first, last


class LabelsWithoutRule(Facts):
    """Facts of `labels-without-rule`."""

    set_without: Annotated[
        str,
        "what the kernel says when a label is set over netlink and no rule mentions labels: ok or an errno",
    ]
    set_matched: Annotated[str, "... of a new flow, while a rule matches labels but none sets one"]
    matched: Annotated[int, "packets that the rule for that label then counts of five"]


@experiment(variants={"scope": SCOPES})
def labels_without_rule(lab: Lab) -> LabelsWithoutRule:
    """Can a flow be labelled from outside where no rule sets labels?

    Label 3 is set on an entry over netlink, as `conntrack -U --label-add` does: without any rule on
    labels, then on a new flow while a rule counts packets of that label. Room for labels is given
    to an entry when it is made, if a rule needs it.
    """
    router = lab.router(states=False)
    lab.track()

    def labelled(port: int) -> str:
        router.from_client(udp(f"10.0.1.2:{port}", "10.0.2.2:53"))
        flow = lab.flow(f"10.0.1.2:{port}")
        bits = attribute(LABELS, (1 << 3).to_bytes(16, "little"))
        try:
            lab.conntrack.request(NEW, pack_tuple(TUPLE_ORIG, flow.orig), bits, family=lab.family.af)
        except OSError as error:
            return errno_name(error)
        return "ok"

    without = labelled(40000)
    lab.chain("forward filter", 'ct label 3 counter comment "labelled"')
    matched = labelled(40001)
    for _ in range(5):
        router.from_client(udp("10.0.1.2:40001", "10.0.2.2:53"))
    return LabelsWithoutRule(
        set_without=without, set_matched=matched, matched=lab.counters().packets("labelled")
    )
