"""What the frontends offer on this kernel: legacy tables, and nft's expressions."""

from __future__ import annotations

from guest.catalogue import FAMILIES, IPTABLES, SCOPES, Fact, FactDict, Invariant, experiment
from guest.errors import ToolFailed, Unsupported
from guest.lab.lab import Lab
from guest.lab.nftables import attempt
from guest.lab.packets import endpoint, neighbour, tcp
from guest.lab.rules import program, tool

_TABLES = ("filter", "nat", "mangle", "raw", "security")


@experiment(
    facts=[
        Fact("tables", list, "tables that can be used"),
        Fact("missing", list, "tables that cannot, with the frontend's message"),
        Fact(
            "counted",
            int,
            "packets of three that a rule in the filter table counts; 0 where there is no such table",
        ),
    ],
    invariants=[
        Invariant(
            "where there is a filter table its rules work",
            lambda facts, variant: facts["counted"] == 3 * ("filter" in facts["tables"]),
        )
    ],
    variants={"frontend": IPTABLES, "family": FAMILIES},
)
def iptables_legacy(lab: Lab) -> FactDict:
    """Can iptables still be used, table by table, in its legacy form and over nf_tables?

    Each table is listed once, then a rule is put into the filter table and three SYNs are sent.
    Distributions have started to build kernels without the legacy tables; programs that still call
    iptables-legacy fail there.
    """
    wire = lab.host()
    tables, missing = [], []
    for table in _TABLES:
        try:
            tool(program(lab.family, lab.frontend), "-t", table, "-S")
        except (Unsupported, ToolFailed) as refusal:
            missing.append(f"{table}: {str(refusal).splitlines()[0]}")
        else:
            tables.append(table)
    facts: FactDict = {"tables": tables, "missing": missing, "counted": 0}
    if "filter" in tables:
        lab.iptables("*filter\n-A INPUT -p tcp --dport 80 -m comment --comment rule")
        gateway, listener = neighbour(lab.local, 2), endpoint(lab.local, 80)
        wire.send(*[tcp(endpoint(gateway, port), listener) for port in (40000, 40001, 40002)])
        facts["counted"] = lab.counters().packets("rule")
    return facts


_FEATURES = {
    "inet nat": "chain c { type nat hook postrouting priority 100; masquerade; }",
    "ct count": "chain c { type filter hook forward priority 0; ct count over 3 drop; }",
    "synproxy": (
        "chain c { type filter hook forward priority 0; tcp dport 80 synproxy mss 1460 wscale 7 timestamp"
        " sack-perm; }"
    ),
    "tproxy": "chain c { type filter hook prerouting priority -150; meta l4proto tcp tproxy to :50080; }",
    "socket wildcard": "chain c { type filter hook input priority 0; socket wildcard 0 counter; }",
    "socket transparent": (
        "chain c { type filter hook prerouting priority -150; socket transparent 1 accept; }"
    ),
    "osf": 'chain c { type filter hook input priority 0; osf name "Linux" counter; }',
    "fib": "chain c { type filter hook prerouting priority 0; fib daddr type local accept; }",
    "numgen": "chain c { type filter hook prerouting priority 0; meta mark set numgen random mod 4; }",
    "jhash": "chain c { type filter hook prerouting priority 0; meta mark set jhash ip saddr mod 4; }",
    "ct timeout": "ct timeout t { protocol udp; l3proto ip; policy = { unreplied: 5, replied: 10 }; }",
    "ct expectation": "ct expectation e { protocol tcp; dport 99; timeout 1h; size 4; l3proto ip; }",
    "ct helper": 'ct helper h { type "ftp" protocol tcp; l3proto ip; }',
    "limit": "chain c { type filter hook forward priority 0; limit rate 10/second accept; }",
    "quota": "chain c { type filter hook forward priority 0; quota over 10 mbytes drop; }",
    "last": "chain c { type filter hook forward priority 0; last; }",
    "dynamic set": (
        "set s { type ipv4_addr; flags dynamic; }\nchain c { type filter hook forward priority 0; add @s { ip"
        " saddr }; }"
    ),
    "concatenated interval": (
        "set s { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 80-90 }; }"
    ),
    "counter in set": "set s { type ipv4_addr; counter; elements = { 10.0.0.1 }; }",
    "inner vxlan": (
        "chain c { type filter hook forward priority 0; udp dport 4789 vxlan ip saddr 10.0.0.1 counter; }"
    ),
    "mptcp option": "chain c { type filter hook forward priority 0; tcp option mptcp exists counter; }",
    "strip tcp option": "chain c { type filter hook forward priority 0; reset tcp option timestamp; }",
    "sctp chunk": "chain c { type filter hook forward priority 0; sctp chunk init exists counter; }",
    "dccp option": "chain c { type filter hook forward priority 0; dccp option 43 exists counter; }",
    "meta time": 'chain c { type filter hook forward priority 0; meta hour "10:00"-"11:00" counter; }',
    "cgroup": "chain c { type filter hook output priority 0; meta cgroup 5 counter; }",
    "ipsec": "chain c { type filter hook input priority 0; meta ipsec exists counter; }",
    "bitwise by register": (
        "chain c { type filter hook forward priority 0; meta mark set ct mark or meta mark; }"
    ),
    "flowtable": "flowtable f { hook ingress priority 0; devices = { lo }; }",
}

_NETDEV = {
    "ingress": "table netdev t { chain c { type filter hook ingress device lo priority 0; }; }",
    "egress": "table netdev t { chain c { type filter hook egress device lo priority 0; }; }",
    "inet ingress": "table inet t { chain c { type filter hook ingress device lo priority 0; }; }",
    "reject in ingress": (
        "table netdev t { chain c { type filter hook ingress device lo priority 0; udp dport 9 reject; }; }"
    ),
    "bridge ct": (
        "table bridge t { chain c { type filter hook forward priority 0; ct state established accept; }; }"
    ),
    "bridge reject": (
        "table bridge t { chain c { type filter hook prerouting priority 0; udp dport 9 reject; }; }"
    ),
}


@experiment(
    facts=[
        Fact("accepted", list, "features that the kernel accepts"),
        Fact("refused", list, "features that it refuses, with its message"),
        Fact(
            "list_hooks",
            str,
            "what `nft list hooks` prints while there is a chain: lists, nothing, or the kernel's message",
        ),
    ],
    invariants=[
        Invariant(
            "limits and dynamic sets are everywhere",
            lambda facts, variant: {"limit", "dynamic set"} <= set(facts["accepted"]),
        )
    ],
    variants={"scope": SCOPES},
)
def nft_features(lab: Lab) -> FactDict:
    """Which of nft's expressions, objects and hooks does this kernel accept?

    One small rule set per feature, each in a table that is deleted again, with the same nft on
    every kernel. A rule set is loaded whole or not at all, so that one feature too many leaves a
    machine without a firewall.
    """
    accepted, refused = [], []
    scripts = {name: f"table inet t {{\n{body}\n}}" for name, body in _FEATURES.items()} | _NETDEV
    for name, script in scripts.items():
        _, error = attempt(f"{script}\ndelete table {script.split()[1]} t\n")
        if error:
            refused.append(f"{name}: {error}")
        else:
            accepted.append(name)
    attempt("table inet t { chain c { type filter hook input priority 0; }; }")
    hooks, error = attempt("list hooks")
    return {
        "accepted": accepted,
        "refused": refused,
        "list_hooks": error or ("lists" if "hook" in hooks else "nothing"),
    }
