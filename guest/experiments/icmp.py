"""ICMP and ICMPv6: errors about flows, and what is exempt."""

from __future__ import annotations

from typing import Any

from guest.catalogue import FAMILIES, SCOPES, Fact, FactDict, Invariant, experiment
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.packets import Packet, echo, endpoint, neighbour, parse, udp
from guest.lab.router import Router
from guest.observe.ctnetlink import Flow

_ID = 12


def _error(source: str, destination: str, kind: int, code: int, quoted: bytes, **fields: Any) -> Packet:
    """An ICMP or ICMPv6 error that quotes a packet."""
    if Family.of(source) is Family.IPV6:
        from scapy.layers.inet6 import (
            ICMPv6DestUnreach,
            ICMPv6PacketTooBig,
            ICMPv6ParamProblem,
            ICMPv6TimeExceeded,
            IPv6,
        )

        layer = {1: ICMPv6DestUnreach, 2: ICMPv6PacketTooBig, 3: ICMPv6TimeExceeded, 4: ICMPv6ParamProblem}[
            kind
        ]
        return IPv6(src=source, dst=destination) / layer(code=code, **fields) / quoted
    from scapy.layers.inet import ICMP, IP

    return IP(src=source, dst=destination) / ICMP(type=kind, code=code, **fields) / quoted


_FACTS = [
    Fact("related", list, "errors about a flow that are RELATED"),
    Fact("not_related", list, "errors about a flow that are not, with their state"),
    Fact("unknown_flow", str, "conntrack state of an error about a flow that is not in the table"),
    Fact("truncated", str, "conntrack state of an error that quotes too little to identify the flow"),
    Fact("from_third", str, "conntrack state of an error that a router further on sends"),
    Fact("to_other", str, "conntrack state of an error that is addressed to another client than it quotes"),
    Fact(
        "entry",
        str,
        "the flow's entry afterwards, its identity, status bits and timeout: unchanged or changed",
    ),
    Fact("next_packet", str, "conntrack state of the flow's next packet"),
    Fact("flows", int, "flows afterwards"),
]


def _errors(lab: Lab, router: Router, kinds: dict[str, tuple[int, int]]) -> FactDict:
    server, client = router.server_address, router.client_address
    third = neighbour(server, 99)
    router.from_client(udp(endpoint(client, 40000), endpoint(server, 53)))
    flow = router.out[0]
    before = lab.flow(endpoint(client, 40000))
    states = {}
    for name, (kind, code) in kinds.items():
        states[name] = router.from_server(_error(server, client, kind, code, flow))
    unknown = bytes(udp(endpoint(client, 41000), endpoint(server, 53)))
    kind, code = next(iter(kinds.values()))
    facts: FactDict = {
        "related": [name for name, state in states.items() if state == "RELATED"],
        "not_related": [f"{name}: {state}" for name, state in states.items() if state != "RELATED"],
        "unknown_flow": router.from_server(_error(server, client, kind, code, unknown)),
        "truncated": router.from_server(_error(server, client, kind, code, flow[: router.family.header + 2])),
        "from_third": router.from_server(_error(third, client, kind, code, flow)),
        "to_other": router.from_server(_error(server, neighbour(client, 3), kind, code, flow)),
    }
    after = lab.flow(endpoint(client, 40000))
    same = _identity(before) == _identity(after)
    facts |= {"entry": "unchanged" if same else "changed", "flows": len(lab.flows())}
    return facts | {"next_packet": router.from_client(udp(endpoint(client, 40000), endpoint(server, 53)))}


def _identity(flow: Flow) -> tuple[object, ...]:
    return flow.attributes.get(_ID), flow.status, flow.lifetime


@experiment(
    facts=_FACTS,
    invariants=[
        Invariant(
            "unreachable and time exceeded about a flow are RELATED, about none INVALID",
            lambda facts, variant: (
                {"port unreachable", "time exceeded"} <= set(facts["related"])
                and facts["unknown_flow"] == "INVALID"
            ),
        ),
        Invariant(
            "errors make no entry and change none",
            lambda facts, variant: facts["flows"] == 1 and facts["entry"] == "unchanged",
        ),
    ],
)
def icmp_errors(lab: Lab) -> FactDict:
    """Which ICMP errors about a flow are RELATED?

    One UDP packet from the client; the server answers with every kind of ICMP error, quoting it.
    Then errors that quote an unknown flow or no more than two bytes of the UDP header, one from a
    router behind, and one to another client. Path MTU discovery needs these to pass.
    """
    kinds = {
        "port unreachable": (3, 3), "fragmentation needed": (3, 4), "administratively prohibited": (3, 13),
        "time exceeded": (11, 0),
        "parameter problem": (12, 0), "redirect": (5, 1), "source quench": (4, 0),
    }  # fmt: skip
    return _errors(lab, lab.router(), kinds)


@experiment(
    facts=_FACTS,
    invariants=[
        Invariant(
            "packet too big about a flow is RELATED, about none INVALID",
            lambda facts, variant: (
                "packet too big" in facts["related"] and facts["unknown_flow"] == "INVALID"
            ),
        ),
        Invariant(
            "errors make no entry and change none",
            lambda facts, variant: facts["flows"] == 1 and facts["entry"] == "unchanged",
        ),
    ],
)
def icmpv6_errors(lab: Lab) -> FactDict:
    """Which ICMPv6 errors about a flow are RELATED?

    As `icmp-errors` with IPv6, where packet too big must pass: no router fragments.
    """
    kinds = {"port unreachable": (1, 4), "administratively prohibited": (1, 1), "packet too big": (2, 0),
             "time exceeded": (3, 0),
             "parameter problem": (4, 0)}  # fmt: skip
    return _errors(lab, lab.router(family=Family.IPV6), kinds)


@experiment(
    facts=[
        Fact("state", str, "conntrack state of the error as it reaches the client, or lost"),
        Fact("outer", str, "to whom the error is addressed when it leaves: client or router"),
        Fact("inner", str, "whose address is in the packet it quotes: client or router"),
        Fact("inner_port", str, "the source port in the packet it quotes: the client's or another"),
        Fact(
            "inner_checksum",
            bool,
            "whether the quoted packet's UDP checksum is right for the addresses and ports it now has",
        ),
    ],
    invariants=[
        Invariant(
            "the error reaches the client and quotes the client's own packet",
            lambda facts, variant: (
                (facts["state"], facts["outer"], facts["inner"], facts["inner_port"])
                == ("RELATED", "client", "client", "the client's")
            ),
        )
    ],
    variants={"family": FAMILIES},
)
def icmp_error_through_nat(lab: Lab) -> FactDict:
    """Is an ICMP error about a masqueraded flow translated back, outside and inside?

    A masqueraded UDP packet whose source port had to be replaced; the server answers port
    unreachable to the router, quoting what it received. The client can only make use of the error
    if the quoted packet is the one it sent.
    """
    router = lab.router()
    lab.chain("postrouting nat", "masquerade", family="inet")
    server = router.server_address
    other = neighbour(router.client_address, 3)
    router.from_client(udp(endpoint(other, 40000), endpoint(server, 53)))
    router.from_client(udp(endpoint(router.client_address, 40000), endpoint(server, 53)))
    seen = router.out[0]
    kind, code = (1, 4) if lab.family is Family.IPV6 else (3, 3)
    state = router.from_server(_error(server, parse(seen).src, kind, code, seen))
    facts: FactDict = {
        "state": state,
        "outer": "lost",
        "inner": "lost",
        "inner_port": "lost",
        "inner_checksum": False,
    }
    if router.out:
        left = router.out[0]
        quoted = parse(left[lab.family.header + 8 :])
        names = {router.client_address: "client"}
        facts["outer"] = names.get(parse(left).dst, "router")
        facts["inner"] = names.get(quoted.src, "router")
        facts["inner_port"] = "the client's" if quoted.payload.sport == 40000 else "another"
        claimed = quoted.payload.chksum
        del quoted.payload.chksum
        facts["inner_checksum"] = parse(bytes(quoted)).payload.chksum == claimed
    return facts


_TYPES = (128, 130, 131, 132, 133, 134, 135, 136, 137, 143, 148, 149, 151, 152, 153, 200)
_STATES = ("untracked", "invalid", "new")


@experiment(
    facts=[
        Fact("untracked", list, "ICMPv6 types that are UNTRACKED"),
        Fact("invalid", list, "ICMPv6 types that are INVALID"),
        Fact("new", list, "ICMPv6 types that make an entry"),
    ],
    invariants=[
        Invariant(
            "neighbour discovery is exempt",
            lambda facts, variant: {"133", "134", "135", "136"} <= set(facts["untracked"]),
        ),
        Invariant("an echo request makes an entry", lambda facts, variant: "128" in facts["new"]),
    ],
    variants={"scope": SCOPES},
)
def icmpv6_untracked(lab: Lab) -> FactDict:
    """Which ICMPv6 types are exempt from connection tracking?

    One packet of each type to ff02::1: echo request (128), multicast listener (130-132, 143),
    neighbour and router discovery (133-137), secure neighbour discovery (148, 149), multicast
    router discovery (151-153), and an unassigned one (200). A firewall that drops INVALID drops
    those that are neither exempt nor known.
    """
    from scapy.layers.inet6 import ICMPv6Unknown, IPv6

    wire = lab.host(Family.IPV6)
    sort = [
        f'icmpv6 type {kind} ct state {state} counter comment "{kind} {state}"'
        for kind in _TYPES
        for state in _STATES
    ]
    lab.chain("prerouting filter", *sort, family="ip6")
    for kind in _TYPES:
        wire.send(IPv6(src="fe80::77", dst="ff02::1", hlim=255) / ICMPv6Unknown(type=kind, msgbody=bytes(20)))
    counters = lab.counters()
    return {state: [str(kind) for kind in _TYPES if counters.packets(f"{kind} {state}")] for state in _STATES}


@experiment(
    facts=[
        Fact("request", str, "conntrack state of an echo request"),
        Fact(
            "replies",
            list,
            "conntrack state of its reply, of the same reply again, and of one with another sequence number",
        ),
        Fact("unasked", str, "conntrack state of an echo reply without a request"),
        Fact("other_identifier", str, "conntrack state of a reply with another identifier"),
        Fact("lifetime", str, "the timeout of an answered echo request"),
        Fact("flows", int, "flows after all this"),
        Fact(
            "others",
            list,
            "IPv4 only: conntrack state of timestamp, information, address mask and router requests, and of"
            " type 200",
        ),
    ],
    invariants=[
        Invariant(
            "a reply to a request is ESTABLISHED, others are INVALID",
            lambda facts, variant: (
                facts["replies"][0] == "ESTABLISHED"
                and facts["unasked"] == facts["other_identifier"] == "INVALID"
            ),
        )
    ],
    variants={"family": FAMILIES},
)
def icmp_echo(lab: Lab) -> FactDict:
    """How are echo requests and other ICMP queries tracked?

    A request, its reply three times, replies without a request; with IPv4 the other queries of RFC
    792 and 1256 and an unknown type.
    """
    from scapy.layers.inet import ICMP, IP

    router = lab.router()
    client, server = router.client_address, router.server_address
    facts: FactDict = {"request": router.from_client(echo(client, server))}
    answers = [
        echo(server, client, reply=True),
        echo(server, client, reply=True),
        echo(server, client, reply=True, sequence=9),
    ]
    facts["replies"] = [router.from_server(answer) for answer in answers]
    flows = lab.flows()
    facts["lifetime"] = flows[0].lifetime if flows else "gone"
    facts["other_identifier"] = router.from_server(echo(server, client, 8, reply=True))
    facts["unasked"] = router.from_client(echo(client, server, 9, reply=True))
    facts["flows"] = len(lab.flows())
    kinds = (
        {"timestamp": 13, "information": 15, "address mask": 17, "router": 10, "200": 200}
        if lab.family is Family.IPV4
        else {}
    )
    facts["others"] = [
        f"{name}: {router.from_client(IP(src=client, dst=server) / ICMP(type=kind, id=5))}"
        for name, kind in kinds.items()
    ]
    return facts
