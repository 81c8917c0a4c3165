"""Fragments: who puts them together, and when that ends."""

from __future__ import annotations

from guest.catalogue import Fact, Facts, Invariant, experiment
from guest.lab import Lab
from guest.lab.packets import Packet, udp
from guest.lab.router import LOST, Router, state_of

_NOTHING = "table ip track { chain forward { type filter hook forward priority 0; ct state new; }; }"


def _fragments(identifier: int, size: int = 2000, piece: int = 1000) -> list[Packet]:
    from scapy.layers.inet import fragment

    datagram = udp("10.0.1.2:5000", "10.0.2.2:53", b"x" * size)
    datagram.id = identifier
    return list(fragment(datagram, fragsize=piece))


def _passes(router: Router, packet: Packet) -> bool:
    router.from_client(packet)
    return bool(router.out)


@experiment(
    facts=[
        Fact("before", str, "a first fragment, no rule that refers to connection tracking: forwarded or held"),
        Fact("tracking", str, "the same while there is such a rule"),
        Fact("after", str, "the same within 3 s after that rule is gone"),
    ],
    invariants=[Invariant("while connections are tracked fragments are held", lambda facts, variant: facts["tracking"] == "held")],
    seconds=60,
)
def defrag_sticky(lab: Lab) -> Facts:
    """Is defragmentation still on after the last rule that needs it is gone?

    A lone first fragment is forwarded by a router that does not track connections, and held by one that does. Sent before there is a rule,
    with it, and (again and again, for 3 s) after it was deleted.
    """
    router = lab.router(states=False)
    names = {True: "forwarded", False: "held"}
    facts: Facts = {"before": names[_passes(router, _fragments(1)[0])]}
    lab.nft(_NOTHING)
    facts["tracking"] = names[_passes(router, _fragments(2)[0])]
    lab.nft("delete table ip track")
    identifiers = iter(range(3, 1000))
    passed = lab.until("a first fragment to be forwarded", lambda: _passes(router, _fragments(next(identifiers))[0]), 3)
    return facts | {"after": names[passed]}


@experiment(
    facts=[
        Fact("in_order", list, "per fragment of a datagram of three: conntrack states of what came out upon it"),
        Fact("reversed", list, "the same, the last fragment first"),
        Fact("overlap", str, "whether a datagram with overlapping fragments is forwarded"),
        Fact("duplicate", str, "whether a datagram of which one fragment came twice is forwarded"),
        Fact("pieces", str, "sizes of the fragments sent on: as they came, or other"),
        Fact("flows", int, "flows in the table afterwards"),
        Fact("held", int, "datagrams that failed to be put together, by the IP statistics"),
    ],
    invariants=[
        Invariant(
            "nothing comes out before the datagram is whole",
            lambda facts, variant: facts["in_order"][:2] == facts["reversed"][:2] == [LOST, LOST],
        )
    ],
)
def fragments(lab: Lab) -> Facts:
    """What does a tracking router do with fragments: in order, reversed, twice, overlapping?

    UDP datagrams of 2900 bytes in three fragments through a router with connection tracking on. It puts them together to see the ports,
    and sends on fragments again.
    """
    router = lab.router()
    sizes: list[int] = []

    def upon(pieces: list[Packet]) -> list[str]:
        seen = []
        for piece in pieces:
            router.from_client(piece)
            seen.append(" ".join(state_of(data) for data in router.out) or LOST)
            sizes.extend(len(data) for data in router.out)
        return seen

    facts: Facts = {"in_order": upon(_fragments(1, 2900))}
    facts["pieces"] = "as they came" if sizes == [len(piece) for piece in _fragments(1, 2900)] else "other"
    facts["reversed"] = upon(_fragments(2, 2900)[::-1])
    first, second, third = _fragments(3, 2900)
    facts["duplicate"] = "forwarded" if upon([first, second, second, third])[-1] != LOST else LOST
    first, second, third = _fragments(4, 2900)
    second.frag -= 1
    facts["overlap"] = "forwarded" if upon([first, second, third])[-1] != LOST else LOST
    failed = lab.netstat()["ReasmFails"]
    return facts | {"flows": len(lab.flows()), "held": failed}
