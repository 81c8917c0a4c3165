"""Where nft's statements may stand: families and hooks in which the kernel takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab import nftables
from guest.lab.lab import Lab

_FIVE = ("prerouting", "input", "forward", "output", "postrouting")
_NAT = ("prerouting", "input", "output", "postrouting")
_HOOKS = {
    "ip": _FIVE,
    "ip6": _FIVE,
    "inet": (*_FIVE, "ingress"),
    "bridge": _FIVE,
    "netdev": ("ingress", "egress"),
}
_IP = ("ip", "ip6", "inet")
_ALL = tuple(_HOOKS)

_STATEMENTS: dict[str, tuple[str, Sequence[str]]] = {
    "reject": ("reject", _ALL),
    "reject with reset": ("meta l4proto tcp reject with tcp reset", _ALL),
    "ct state": ("ct state new", _ALL),
    "ct count": ("ct count over 3", _ALL),
    "ct zone set": ("ct zone set 1", _ALL),
    "notrack": ("notrack", _ALL),
    "synproxy": ("tcp dport 80 synproxy mss 1460 wscale 7", _ALL),
    "tproxy": ("meta l4proto tcp tproxy to :5000", _IP),
    "socket": ("socket mark 1", _ALL),
    "osf": ('osf name "Linux"', _ALL),
    "fib by device": ("fib saddr . iif oif missing", _ALL),
    "fib by type": ("fib daddr type local", _ALL),
    "rt mtu": ("tcp option maxseg size set rt mtu", _ALL),
    "ipsec in": ("ipsec in reqid 1", _IP),
    "ipsec out": ("ipsec out reqid 1", _IP),
    "queue": ("queue num 1", _ALL),
    "pkttype set": ("meta pkttype set host", _ALL),
    "bridge's name": ('meta ibrname "br0"', _ALL),
    "ct helper set": ('meta l4proto tcp ct helper set "h"', _IP),
    "ct timeout set": ('meta l4proto tcp ct timeout set "t"', _IP),
    "flow add": ("meta l4proto tcp flow add @f", _IP),
}
"""What each is in nft's language, and the families in which nft itself does not refuse it."""
_TRANSLATIONS: dict[str, tuple[str, Sequence[str]]] = {
    "masquerade": ("masquerade", _IP),
    "redirect": ("meta l4proto tcp redirect to :81", _IP),
    "snat": ("snat ip to 10.9.9.9", ("inet",)),
    "dnat": ("dnat ip to 10.9.9.9", ("inet",)),
}
_NAMED = """
ct helper h { type "ftp" protocol tcp; }
ct timeout t { protocol tcp; policy = { established: 100 }; }
flowtable f { hook ingress priority 0; devices = { lo }; }
"""


class StatementPlaces(Facts):
    """Facts of `statement-places`."""

    filter: Annotated[list[str], "per statement: families and their hooks in which the kernel takes it"]
    nat: Annotated[list[str], "per translation: the same, in chains of type nat"]


@experiment()
def statement_places(lab: Lab) -> StatementPlaces:
    """In which families and hooks may each of nft's statements stand?

    Each statement alone in a rule of each base chain: of ip, ip6, inet (ingress too), bridge and
    netdev, but for families in which nft refuses it before the kernel is asked. The kernel refuses
    statements where they could not work, and later kernels refuse more: a rule set with one such
    rule, which did nothing until then, is not loaded at all after the upgrade.
    """
    with lab.inside():
        for script in (*_tables("filter", _HOOKS), *_tables("nat", dict.fromkeys(_IP, _NAT))):
            # A hook that this kernel does not have takes no statement.
            nftables.attempt(script)
        return StatementPlaces(
            filter=[f"{name}: {_taken('filter', *asked)}" for name, asked in _STATEMENTS.items()],
            nat=[f"{name}: {_taken('nat', *asked)}" for name, asked in _TRANSLATIONS.items()],
        )


def _tables(kind: str, hooks: dict[str, tuple[str, ...]]) -> list[str]:
    """A table for each base chain: the kernel judges the rules of a table together."""
    return [
        f"table {family} {kind}-{hook} {{\n{_chain(kind, hook)}{_NAMED if family in _IP else ''}}}\n"
        for family, places in hooks.items()
        for hook in places
    ]


def _chain(kind: str, hook: str) -> str:
    device = ' device "lo"' if hook in ("ingress", "egress") else ""
    return f"chain c {{ type {kind} hook {hook}{device} priority 0; }}\n"


def _taken(kind: str, statement: str, families: Sequence[str]) -> str:
    """Families with the hooks at which a statement is taken; all of a family's are `all`."""
    hooks = dict.fromkeys(_IP, _NAT) if kind == "nat" else _HOOKS
    places = [(family, hook) for family in families for hook in hooks[family]]
    # The kernel names all rules that it does not know, but only one that it does not want there.
    while refused := _refused(kind, statement, places):
        places = [place for place in places if place not in refused]
    found = []
    for family in families:
        taken = [hook for hook in hooks[family] if (family, hook) in places]
        if taken:
            found.append(f"{family} {'all' if len(taken) == len(hooks[family]) else ' '.join(taken)}")
    return "; ".join(found) or "nowhere"


def _refused(kind: str, statement: str, places: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    rules = [f"add rule {family} {kind}-{hook} c {statement}\n" for family, hook in places]
    return [places[line - 1] for line in nftables.refusals("".join(rules))]
