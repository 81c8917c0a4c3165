"""What an entry carries besides its tuples: marks, counters, timestamps."""

from __future__ import annotations

from guest.catalogue import IPTABLES, SCOPES, Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import udp


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
        Fact("started", bool, "whether a new entry says when it began"),
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
    follows after accounting is off again. Billing and flow exporters read these.
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
    for _ in range(3):
        router.from_client(udp("10.0.1.2:40001", "10.0.2.2:53", b"1234"))
    for _ in range(2):
        router.from_server(udp("10.0.2.2:53", "10.0.1.2:40001", b"1234"))
    flow = lab.flow("10.0.1.2:40001")
    facts["packets"] = counted(40001)
    facts["bytes"] = [str(number) for number in flow.bytes or ()]
    facts["started"] = flow.started
    lab.sysctl("net/netfilter/nf_conntrack_acct", 0)
    router.from_client(udp("10.0.1.2:40001", "10.0.2.2:53", b"1234"))
    return facts | {"switched_off": counted(40001)}
