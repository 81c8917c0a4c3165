"""Fragments: who puts them together, and what is left of them."""

from __future__ import annotations

import os

from guest.catalogue import FAMILIES, SCOPES, Fact, FactDict, Invariant, experiment
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.packets import parse, udp
from guest.lab.router import Router

_COUNTED = "meta l4proto { udp, ipv6-frag } counter comment"


def _fragments(router: Router, identifier: int, size: int = 3000) -> list[bytes]:
    """A UDP datagram of `size` bytes from the client to the server in fragments of at most 1280
    bytes.
    """
    client, server = router.client_address, router.server_address
    if router.family is Family.IPV6:
        from scapy.layers.inet import UDP
        from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6

        packet = (
            IPv6(src=client, dst=server)
            / IPv6ExtHdrFragment(id=identifier)
            / UDP(sport=40000, dport=53)
            / os.urandom(size)
        )
        return [bytes(piece) for piece in fragment6(packet, 1280)]
    from scapy.layers.inet import fragment

    packet = udp(f"{client}:40000", f"{server}:53", os.urandom(size))
    packet.id = identifier
    return [bytes(piece) for piece in fragment(packet, 1240)]


def _ours(router: Router) -> int:
    """The packets from the client among those that left."""
    return sum(parse(data).src == router.client_address for data in router.server.read())


@experiment(
    facts=[
        Fact("pieces", int, "fragments that went in"),
        Fact("before", int, "packets counted ahead of defragmentation (priority -450)"),
        Fact("after", int, "packets counted behind it, in raw PREROUTING (priority -300)"),
        Fact("in_order", int, "packets that left for fragments sent in order"),
        Fact("reversed", int, "packets that left for fragments sent in reverse order"),
        Fact("missing", int, "packets that left for fragments of which the last was missing"),
        Fact("duplicate", int, "packets that left when every fragment came twice"),
        Fact("overlapping", int, "packets that left when a fragment overlapped another with other contents"),
        Fact("flows", int, "flows afterwards"),
    ],
    invariants=[
        Invariant(
            "what comes in three fragments is one packet for raw PREROUTING",
            lambda facts, variant: facts["pieces"] == facts["before"] == 3,
        ),
        Invariant("nothing of an incomplete datagram leaves", lambda facts, variant: facts["missing"] == 0),
    ],
    variants={"family": FAMILIES},
)
def fragments(lab: Lab) -> FactDict:
    """How do fragments pass a router that tracks connections?

    A UDP datagram of 3000 bytes in three fragments through the router: in order, reversed,
    incomplete, duplicated, overlapping. With connection tracking on, they are put together before
    anything else sees them, and taken apart again when they leave.
    """
    router = lab.router(states=False)
    lab.track()
    lab.chain("prerouting -450", f'{_COUNTED} "before"')
    lab.chain("prerouting raw", f'{_COUNTED} "after"')

    def left(pieces: list[bytes]) -> int:
        router.server.read()
        router.client.send(*pieces)
        return _ours(router)

    first = _fragments(router, 1)
    facts: FactDict = {"pieces": len(first), "in_order": left(first)}
    counters = lab.counters()
    facts |= {"before": counters.packets("before"), "after": counters.packets("after")}
    facts["reversed"] = left(_fragments(router, 2)[::-1])
    facts["missing"] = left(_fragments(router, 3)[:-1])
    facts["duplicate"] = left([piece for piece in _fragments(router, 4) for _ in range(2)])
    one, other = _fragments(router, 5), _fragments(router, 5)
    facts["overlapping"] = left([one[0], other[1][:-8] + os.urandom(8), one[1], one[2]])
    return facts | {"flows": len(lab.flows())}


def _first_fragment_passes(router: Router, identifier: int) -> bool:
    router.server.read()
    router.client.send(_fragments(router, identifier)[0])
    return bool(_ours(router))


@experiment(
    facts=[
        Fact(
            "before", str, "what becomes of a lone first fragment before there is any rule: forwarded or held"
        ),
        Fact("during", str, "... while a rule refers to connection tracking"),
        Fact("after", str, "... once that rule is gone again, five seconds at most after it went"),
        Fact("other_namespace", str, "... in another namespace, which never had a rule"),
    ],
    invariants=[
        Invariant(
            "without connection tracking fragments pass, with it they are held",
            lambda facts, variant: (facts["before"], facts["during"]) == ("forwarded", "held"),
        ),
        Invariant(
            "other namespaces are not affected",
            lambda facts, variant: facts["other_namespace"] == "forwarded",
        ),
    ],
    variants={"family": FAMILIES, "scope": SCOPES},
)
def defrag_sticky(lab: Lab) -> FactDict:
    """Does defragmentation end with the last rule that refers to connection tracking?

    The first fragment of a datagram, alone, through a router that has no rule, has one (`ct
    state`), and has it no more. A router that holds fragments delays and sometimes loses them.
    """
    router = lab.router(states=False)
    outcome = {True: "forwarded", False: "held"}
    facts: FactDict = {"before": outcome[_first_fragment_passes(router, 1)]}
    track = lab.track()
    facts["during"] = outcome[_first_fragment_passes(router, 2)]
    track.delete()
    identifiers = iter(range(3, 10_000))
    gone = lab.until(
        "a lone first fragment to be forwarded",
        lambda: _first_fragment_passes(router, next(identifiers)),
        5,
    )
    facts["after"] = outcome[gone]
    other = lab.new_namespace()
    elsewhere = other.router(states=False)
    return facts | {"other_namespace": outcome[_first_fragment_passes(elsewhere, 1)]}


@experiment(
    facts=[
        Fact("one_link", int, "fragments that left when all came in by one interface"),
        Fact(
            "two_links", int, "fragments that left when the first came in by another interface than the rest"
        ),
    ],
    invariants=[
        Invariant(
            "what comes in by one interface is forwarded", lambda facts, variant: facts["one_link"] == 3
        )
    ],
    variants={"family": FAMILIES},
)
def fragments_two_links(lab: Lab) -> FactDict:
    """Are fragments of one datagram put together when they come in by two interfaces?

    A datagram in three fragments, once by one interface, once with its first fragment by a second
    one, as with two uplinks that share the load packet by packet. Connection tracking has to put
    them together first; where it will not, such datagrams are lost.
    """
    router = lab.router(states=False)
    lab.track()
    second = lab.tun("tun2")
    facts: FactDict = {}
    for identifier, name in enumerate(("one_link", "two_links"), start=1):
        first, *rest = _fragments(router, identifier)
        (router.client if name == "one_link" else second).send(first)
        router.client.send(*rest)
        facts[name] = _ours(router)
    return facts
