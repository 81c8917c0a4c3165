"""When is connection tracking switched on, and what do counters count?"""

from __future__ import annotations

import socket
from collections.abc import Callable

from guest.catalogue import FAMILIES, IPTABLES, SCOPES, Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import endpoint, neighbour, udp


@experiment(
    facts=[
        Fact("listed_only", int, "policy counter after 3 packets, the table listed but never written to"),
        Fact(
            "rule_elsewhere", int, "policy counter after 3 packets, another chain of the table holding a rule"
        ),
        Fact("rule", int, "policy counter after 3 packets, the chain itself holding a rule"),
        Fact("rule_gone", int, "policy counter after 3 packets, the chain's rule deleted again"),
    ],
    variants={"frontend": IPTABLES, "scope": SCOPES},
)
def policy_counters(lab: Lab) -> FactDict:
    """Does a chain's policy counter count while the chain holds no rule?

    mangle PREROUTING, three UDP packets from outside per step, each step in a fresh namespace:
    after `iptables -t mangle -L` only, with a rule in POSTROUTING, with a rule in PREROUTING that
    does not match, and with that rule deleted again. A chain that the frontend does not list at all
    counts as 0.
    """
    elsewhere = ("-t", "mangle", "-A", "POSTROUTING", "-s", "203.0.113.1")
    rule = ("-t", "mangle", "-A", "PREROUTING", "-s", "203.0.113.1")
    gone = ("-t", "mangle", "-D", "PREROUTING", "-s", "203.0.113.1")
    steps: dict[str, list[tuple[str, ...]]] = {
        "listed_only": [("-t", "mangle", "-L")],
        "rule_elsewhere": [elsewhere],
        "rule": [rule],
        "rule_gone": [rule, gone],
    }
    facts: FactDict = {}
    for name, commands in steps.items():
        place = lab.new_namespace()
        wire = place.host()
        for command in commands:
            place.iptables_command(*command)
        for _ in range(3):
            wire.send(udp("198.18.0.2:10000", "192.0.2.1:53"))
        policy = place.counters().policies.get(("mangle", "PREROUTING"))
        facts[name] = policy.packets if policy else 0
        wire.close()
    return facts


_REFERENCES: dict[str, str | None] = {
    "no_rule": "",
    "listed_nat": None,
    "plain_rule": "*filter\n-A INPUT -p tcp",
    "notrack": "*raw\n-A PREROUTING -s {elsewhere} -j CT --notrack",
    "ct": "*raw\n-A PREROUTING -j CT",
    "state": "*filter\n-A INPUT -m conntrack --ctstate INVALID",
    "connmark": "*mangle\n-A PREROUTING -m connmark --mark 5",
    "nat": "*nat\n-A POSTROUTING -s {elsewhere} -j MASQUERADE",
    "user_chain": "*filter\n:unused - [0:0]\n-A unused -m conntrack --ctstate INVALID",
    "helper": "*raw\n-A PREROUTING -p tcp --dport 21 -j CT --helper ftp",
}


@experiment(
    facts=[
        Fact("no_rule", int, "no rule at all"),
        Fact("listed_nat", int, "the nat table listed once, no rule"),
        Fact("plain_rule", int, "a filter rule that asks nothing of connection tracking"),
        Fact("notrack", int, "`-j CT --notrack` for another source"),
        Fact("ct", int, "`-j CT`"),
        Fact("state", int, "`-m conntrack --ctstate`"),
        Fact("connmark", int, "`-m connmark`"),
        Fact("nat", int, "a MASQUERADE rule for another source"),
        Fact("user_chain", int, "`-m conntrack` in a chain that nothing jumps to"),
        Fact("helper", int, "`-j CT --helper ftp` for TCP"),
        Fact("other_family", int, "nft's `ct state` in a table of the other family of IP"),
        Fact("nft_mark", int, "nft's `ct mark` in a table of this family"),
    ],
    invariants=[
        Invariant(
            "without a rule nothing is tracked",
            lambda facts, variant: facts["no_rule"] == facts["plain_rule"] == 0,
        ),
        Invariant(
            "a rule that refers to connection tracking switches it on",
            lambda facts, variant: facts["ct"] == facts["state"] == facts["connmark"] == facts["nat"] == 1,
        ),
    ],
    variants={"family": FAMILIES, "frontend": IPTABLES},
    modules=("nf_conntrack_ftp",),
)
def conntrack_on_reference(lab: Lab) -> FactDict:
    """Which rules switch connection tracking on in a network namespace?

    Each fact is the number of flows after one UDP packet from outside, in a fresh namespace that
    holds one rule. Connection tracking is registered in a namespace only when something refers to
    it; a container without such a rule pays nothing.
    """
    datagram = udp(endpoint(lab.distant, 1), endpoint(lab.local, 53))
    elsewhere = neighbour(lab.distant, 9)
    facts: FactDict = {}
    for name, rules in _REFERENCES.items():
        place = lab.new_namespace()
        wire = place.host()
        if rules is None:
            place.iptables_command("-t", "nat", "-L")
        elif rules:
            place.iptables(rules.format(elsewhere=elsewhere))
        # Not a SYN: the stack's RST would take the flow away again.
        wire.send(datagram)
        facts[name] = len(place.flows())
        wire.close()
    other = "ip" if lab.ip == "ip6" else "ip6"
    for name, rule, family in (("other_family", "ct state new", other), ("nft_mark", "ct mark 5", lab.ip)):
        place = lab.new_namespace()
        wire = place.host()
        place.chain("prerouting filter", rule, family=family)
        wire.send(datagram)
        facts[name] = len(place.flows())
        wire.close()
    return facts


_HOOKS = """
    *raw
    -A PREROUTING -p udp -m comment --comment prerouting -j CT
    -A OUTPUT -p udp -m comment --comment output
    *mangle
    -A PREROUTING -p udp -m conntrack --ctstate NEW -m comment --comment new
    -A INPUT -p udp -m comment --comment input
"""


@experiment(
    facts=[
        Fact(
            "tun",
            dict,
            "packets counted in raw OUTPUT, raw PREROUTING, as NEW in mangle PREROUTING, and in mangle INPUT:"
            " sent through a tun",
        ),
        Fact("raw_socket", dict, "the same for packets sent through an IP raw socket to loopback"),
        Fact("packet_socket", dict, "the same for packets sent through a packet socket on loopback"),
        Fact("flows", dict, "flows each way leaves"),
    ],
    invariants=[
        Invariant(
            "a packet sent through a tun takes the path of a received one: no OUTPUT",
            lambda facts, variant: facts["tun"] == {"output": 0, "prerouting": 3, "new": 3, "input": 3},
        ),
        Invariant(
            "what a raw socket sends to loopback passes OUTPUT first",
            lambda facts, variant: facts["raw_socket"]["output"] == 3,
        ),
    ],
    variants={"frontend": IPTABLES, "martians": ("refused", "accepted")},
)
def raw_socket_loopback(lab: Lab) -> FactDict:
    """Do packets injected on loopback take the path of received packets?

    Three UDP packets each: through a tun, through an IP raw socket (`SOCK_RAW`, header included) to
    127.0.0.1, and through a packet socket bound to `lo`. Counted in raw OUTPUT, raw PREROUTING,
    mangle PREROUTING (as NEW) and mangle INPUT. Test tools that inject on loopback may measure the
    sender's path and not the receiver's. Where packets of a packet socket are lost behind
    PREROUTING, it is routing that drops them: what comes in from an address of this machine is a
    martian, unless route_localnet and accept_local of `lo` are 1, as with `martians=accepted`.
    """
    wire = lab.host()
    for name in ("route_localnet", "accept_local"):
        lab.sysctl(f"net/ipv4/conf/lo/{name}", int(lab.variant["martians"] == "accepted"))
    lab.iptables(_HOOKS)
    facts: FactDict = {"flows": {}}
    before = dict.fromkeys(("output", "prerouting", "new", "input"), 0)
    flows = 0

    def raw_socket(data: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
            sender.sendto(data, ("127.0.0.1", 0))

    def packet_socket(data: bytes) -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind(("lo", 0x0800))
            sender.send(bytes(12) + b"\x08\x00" + data)

    ways: dict[str, tuple[str, str, Callable[[bytes], None]]] = {
        "tun": ("198.18.0.2", "192.0.2.1", wire.send),
        "raw_socket": ("127.0.0.1", "127.0.0.1", raw_socket),
        "packet_socket": ("127.0.0.1", "127.0.0.1", packet_socket),
    }
    for port, (name, (source, destination, send)) in enumerate(ways.items(), start=10000):
        for _ in range(3):
            send(bytes(udp(f"{source}:{port}", f"{destination}:53")))
        counters = lab.counters()
        now = {key: counters.packets(key) for key in before}
        facts[name] = {key: now[key] - before[key] for key in before}
        before = now
        facts["flows"][name] = lab.conntrack.count() - flows
        flows = lab.conntrack.count()
    return facts
