"""Intervals that overlap: what the kernel itself says to a program that adds them to a set."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Annotated

from guest import netlink
from guest.catalogue import Facts, experiment
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import udp
from guest.lab.router import Router
from guest.linux import errno_name
from guest.netlink import CREATE, EXCL, Netlink, attribute, nested

_NFTABLES, _NEW_ELEMENT = 10, 12
_TABLE, _SET, _ELEMENTS, _ELEMENT = 1, 2, 3, 1
_KEY, _FLAGS, _KEY_END, _VALUE = 1, 3, 10, 1
_END = attribute(_FLAGS, struct.pack(">I", 1))

_FIRST = (20, 30)
_SECOND = {
    "identical": (20, 30),
    "inside": (22, 28),
    "inside, same start": (20, 25),
    "inside, same end": (25, 30),
    "around": (15, 35),
    "around, same start": (20, 35),
    "around, same end": (15, 30),
    "left": (15, 25),
    "right": (25, 35),
    "touches": (31, 35),
    "apart": (40, 50),
}
_POINTS = (17, 25, 33, 45)
_Span = tuple[int, int]
_How = tuple[int, bool]
_HOW: dict[str, _How] = {
    "plain": (CREATE, False),
    "exclusive": (CREATE | EXCL, False),
    "together": (CREATE | EXCL, True),
}
"""The request's flags, and whether both intervals are added in one transaction."""
_KEYS = {"interval": "ip saddr", "concatenation": "ip saddr . udp dport"}
_KINDS = {"interval": "ipv4_addr", "concatenation": "ipv4_addr . inet_service"}


class IntervalOverlap(Facts):
    """Facts of `interval-overlap`."""

    plain: Annotated[
        list[str],
        "per second interval, added with NLM_F_CREATE: ok or an errno, and which of .17, .25, .33, .45 match",
    ]
    exclusive: Annotated[list[str], "the same with NLM_F_EXCL too"]
    together: Annotated[list[str], "the same in one transaction with the first interval"]


@experiment(variants={"set": tuple(_KINDS)})
def interval_overlap(lab: Lab) -> IntervalOverlap:
    """Which overlapping intervals does the kernel itself refuse, and what matches then?

    A set holds the addresses from .20 to .30, and a second interval is added: the same, inside it,
    around it, across an end, next to it. Over netlink, as programs do that do not use nft, which
    joins intervals itself. A program that takes a refusal for a passing fault tries for ever; one
    that is not refused may match less than it asked for. Set: of addresses (`interval`), or of
    addresses and ports (`concatenation`).
    """
    place = lab.new_namespace()
    router = place.router(states=False)
    place.nft(f"""
        table ip t {{
            set s {{ type {_KINDS[lab.variant["set"]]}; flags interval; }}
            chain c {{
                type filter hook forward priority 0; policy drop;
                {_KEYS[lab.variant["set"]]} @s accept
            }}
        }}
    """)
    with place.inside():
        asking = Netlink(netlink.NETFILTER)
    found = {
        name: [f"{case}: {_second(place, asking, router, span, how)}" for case, span in _SECOND.items()]
        for name, how in _HOW.items()
    }
    asking.close()
    return IntervalOverlap(**found)


def _second(place: Namespace, asking: Netlink, router: Router, span: _Span, how: _How) -> str:
    """What the kernel says to a second interval, and which points match then."""
    flags, together = how
    kind = place.variant["set"]
    place.nft("flush set ip t s")
    first, second = ((_NEW_ELEMENT, _interval(kind, *one), flags) for one in (_FIRST, span))
    if together:
        errors = asking.transact(_NFTABLES, [first, second])
    else:
        if any(asking.transact(_NFTABLES, [first])):
            raise RuntimeError("the first interval is refused")
        errors = asking.transact(_NFTABLES, [second])
    said = [errno_name(OSError(error, "")) for error in errors if error]
    return f"{said[0] if said else 'ok'}; {' '.join(_matching(router)) or 'none'}"


def _matching(router: Router) -> list[str]:
    found = []
    for point in _POINTS:
        router.from_client(udp(f"10.0.1.{point}:40000", "10.0.2.2:53"))
        if router.out:
            found.append(f".{point}")
    return found


def _interval(kind: str, first: int, last: int) -> bytes:
    """The elements of an interval of addresses, as a message names them."""
    if kind == "interval":
        # An interval ends with an element of its own, the first address behind it.
        elements = [nested(_KEY, _value(first)), nested(_KEY, _value(last + 1)) + _END]
    else:
        port = struct.pack(">HH", 53, 0)
        elements = [nested(_KEY, _value(first, port)) + nested(_KEY_END, _value(last, port))]
    return (
        struct.pack(">BBH", socket.AF_INET, 0, 0)
        + attribute(_TABLE, "t")
        + attribute(_SET, "s")
        + nested(_ELEMENTS, *(nested(_ELEMENT, element) for element in elements))
    )


def _value(host: int, more: bytes = b"") -> bytes:
    return attribute(_VALUE, ipaddress.IPv4Address(f"10.0.1.{host}").packed + more)
