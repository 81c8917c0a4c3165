"""Fragments: who puts them together, and what is left of them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from guest.catalogue import FAMILIES, SCOPES, Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import endpoint, fragment, parse, udp
from guest.lab.router import Router

_COUNTED = "meta l4proto { udp, ipv6-frag } counter comment"


_Piece = tuple[int, int]
"""First byte and end of a fragment's part of the datagram."""


def _pieces(router: Router, identifier: int, places: Sequence[_Piece], size: int = 3000) -> list[bytes]:
    """Fragments of a UDP datagram of `size` bytes from the client to the server: those parts of
    it.
    """
    client, server = router.client_address, router.server_address
    datagram = udp(endpoint(client, 40000), endpoint(server, 53), os.urandom(size))
    whole = bytes(datagram)[router.family.header :]
    return [bytes(fragment(client, server, identifier, whole, *place)) for place in places]


_THIRDS = ((0, 1232), (1232, 2464), (2464, 3008))
_OVERLAPS = {
    "begins 8 bytes before another ends": ((0, 1232), (1224, 2464), (2464, 3008)),
    "lies inside another": ((0, 1232), (64, 640), (1232, 2464), (2464, 3008)),
    "covers two": ((0, 640), (640, 1232), (0, 1232), (1232, 2464), (2464, 3008)),
}


def _fragments(router: Router, identifier: int) -> list[bytes]:
    """A datagram in three fragments."""
    return _pieces(router, identifier, _THIRDS)


def _ours(router: Router) -> int:
    """The packets from the client among those that left."""
    return sum(parse(data).src == router.client_address for data in router.server.read())


@experiment(
    facts=[
        Fact(
            "pieces",
            int,
            "fragments that went in",
            guard="a definition: how many were sent, with which all other numbers are compared",
        ),
        Fact("before", int, "packets counted ahead of defragmentation (priority -450)"),
        Fact("after", int, "packets counted behind it, in raw PREROUTING (priority -300)"),
        Fact("in_order", int, "packets that left for fragments sent in order"),
        Fact("reversed", int, "packets that left for fragments sent in reverse order"),
        Fact("missing", int, "packets that left for fragments of which the last was missing"),
        Fact("duplicate", int, "packets that left when every fragment came twice"),
        Fact(
            "duplicate_other",
            int,
            "packets that left when the second fragment came twice, with other contents",
        ),
        Fact("overlaps", dict, "packets that left for fragments one of which overlaps others, sent in order"),
        Fact("overlaps_reversed", dict, "packets that left for the same sent in reverse order"),
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
    incomplete, duplicated; then with a fragment that overlaps others, of which RFC 5722 says for
    IPv6 that the whole datagram is to be dropped. With connection tracking on, fragments are put
    together before anything else sees them, and taken apart again when they leave.
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
    facts["duplicate_other"] = left([one[0], other[1], one[1], one[2]])
    facts |= {"overlaps": {}, "overlaps_reversed": {}}
    for number, (name, places) in enumerate(_OVERLAPS.items(), start=6):
        facts["overlaps"][name] = left(_pieces(router, number, places))
        facts["overlaps_reversed"][name] = left(_pieces(router, number + 10, places)[::-1])
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
        Fact(
            "after",
            str,
            "what becomes of one within 3 s once that rule is gone again: forwarded or held",
        ),
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
    cpus=2,
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
    # In how many milliseconds is up to the kernel's RCU, and to chance.
    when = lab.when(
        "a lone first fragment is forwarded", lambda: _first_fragment_passes(router, next(identifiers))
    )
    facts["after"] = outcome[when != "later"]
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
