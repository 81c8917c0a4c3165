"""Rules and sets at the edge of sense: which of them the kernel takes."""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab import nftables
from guest.lab.lab import Lab
from guest.lab.nftables import attempt

_BY_KERNEL = "Could not process rule: "


def _jumps(depth: int) -> str:
    """A base chain from which jumps lead that deep."""
    chains = [f"chain c{depth} {{ counter; }}"]
    chains += [f"chain c{number} {{ jump c{number + 1}; }}" for number in reversed(range(1, depth))]
    return "\n".join([*chains, "chain b { type filter hook input priority 0; jump c1; }"])


def _named(length: int) -> str:
    return f"set {'s' * length} {{ type ipv4_addr; }}"


def _rule(text: str) -> str:
    return f"chain c {{ type filter hook input priority 0; {text}; }}"


_BODIES = {
    "jumps 15 deep": _jumps(15),
    "jumps 16 deep": _jumps(16),
    "jumps 17 deep": _jumps(17),
    "set name of 255": _named(255),
    "set name of 256": _named(256),
    "empty set": "set s { type ipv4_addr; }\n" + _rule("ip saddr @s drop"),
    "mark shifted by 0": _rule("meta mark set meta mark << 0"),
    "mark shifted by 31": _rule("meta mark set meta mark << 31"),
    "mark and 0": _rule("meta mark and 0 == 0"),
    "mark or all": _rule("meta mark set meta mark or 0xffffffff"),
    "limit of 0": _rule("limit rate 0/second"),
    "limit of 1 a week": _rule("limit rate 1/week"),
    "limit of 4 billion": _rule("limit rate 4294967295/second"),
    "burst of 4 billion": _rule("limit rate 10/second burst 4294967295 packets"),
    "quota of 0": _rule("quota over 0 bytes"),
    "ct count over 0": _rule("ct count over 0"),
    "numgen mod 1": _rule("meta mark set numgen inc mod 1"),
    "numgen overflow": _rule("meta mark set numgen inc mod 2 offset 4294967295"),
    "hash mod 1": _rule("meta mark set jhash ip saddr mod 1"),
    "queue to 65535": _rule("queue num 65535"),
    "queue range": _rule("queue num 0-65535"),
    "log group 65535": _rule("log group 65535"),
    "log prefix of 127": _rule(f'log prefix "{"p" * 127}"'),
    "comment of 128": _rule(f'counter comment "{"c" * 128}"'),
    "same device twice": "flowtable f { hook ingress priority 0; devices = { lo, lo }; }",
    "no device": "flowtable f { hook ingress priority 0; }",
    "priority of flowtable": "flowtable f { hook ingress priority -400; devices = { lo }; }",
    "nat at -199": "chain c { type nat hook prerouting priority -199; }",
    "lowest priority": "chain c { type filter hook input priority -2147483648; }",
    "highest priority": "chain c { type filter hook input priority 2147483647; }",
    "timeout of 1 ms": "set s { type ipv4_addr; timeout 1ms; }",
    "timeout of 49 days": "set s { type ipv4_addr; timeout 49d; }",
    "timeout of 60000 days": "set s { type ipv4_addr; timeout 60000d; }",
    "set of size 0": "set s { type ipv4_addr; size 0; }",
    "more than its size": "set s { type ipv4_addr; size 1; elements = { 10.0.0.1, 10.0.0.2 }; }",
    "constant, no elements": "set s { type ipv4_addr; flags constant; }",
    "interval from 0 to the end": "set s { type ipv4_addr; flags interval; elements = { 0.0.0.0/0 }; }",
    "map to a missing chain": "map m { type ipv4_addr : verdict; elements = { 10.0.0.1 : jump nowhere }; }",
    "helper that is not there": 'ct helper h { type "nothing" protocol tcp; }',
    "zone 65535": _rule("ct zone set 65535"),
    "label 127": _rule("ct label set 127"),
    "snat in input": "chain c { type nat hook input priority 100; snat ip to 10.0.0.1; }",
    "snat to port 0": "chain c { type nat hook postrouting priority 100; meta l4proto tcp snat to :0; }",
}
_SCRIPTS = {
    "loop": """
table inet t { chain a { }; chain b { }; chain c { type filter hook input priority 0; jump a; }; }
add rule inet t a jump b
add rule inet t b jump a
""",
    "loop through a map": """
table inet t {
map m { type ipv4_addr : verdict; }
chain a { ip saddr vmap @m; }
chain c { type filter hook input priority 0; jump a; }
}
add element inet t m { 10.0.0.1 : jump a }
""",
    "jump to a base chain": """
table inet t { chain b { type filter hook input priority 0; }; }
add chain inet t c { type filter hook input priority 1; }
add rule inet t c jump b
""",
    "chain twice": "add table inet t\ncreate chain inet t c\ncreate chain inet t c\n",
    "set in use is deleted": """
table inet t { set s { type ipv4_addr; }; chain c { ip saddr @s drop; }; }
delete set inet t s
""",
    "chain in use is deleted": """
table inet t { chain a { }; chain c { jump a; }; }
delete chain inet t a
""",
}


class RulesAtTheEdge(Facts):
    """Facts of `rules-at-the-edge`."""

    accepted: Annotated[list[str], "rule sets that the kernel accepts"]
    refused: Annotated[list[str], "rule sets that it refuses, with its message"]


@experiment()
def rules_at_the_edge(lab: Lab) -> RulesAtTheEdge:
    """Which rules and sets at the edge of sense does the kernel take?

    Small rule sets with a number at or beyond its limit, a name as long as can be, chains that lead
    deep or in a circle, objects that are in use, missing or empty. Each is loaded with the same nft
    on every kernel and deleted again. Kernels have come to refuse more of them, and a rule set is
    loaded whole or not at all: a rule that never did anything leaves a machine without a firewall.
    """
    accepted, refused = [], []
    scripts = {name: f"table inet t {{\n{body}\n}}\n" for name, body in _BODIES.items()} | _SCRIPTS
    with lab.inside():
        for name, script in scripts.items():
            _, error = attempt(script)
            if error and _BY_KERNEL not in error:
                raise RuntimeError(f"{name}: {error}")
            if error:
                refused.append(f"{name}: {error.removeprefix(_BY_KERNEL)}")
                continue
            accepted.append(name)
            # Not at once: what is deleted again the kernel does not look at.
            nftables.run("delete table inet t")
    return RulesAtTheEdge(accepted=accepted, refused=refused)
