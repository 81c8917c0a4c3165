"""Masquerading: what becomes of flows when the address they use goes."""

from __future__ import annotations

from guest.catalogue import FAMILIES, FRONTENDS, Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import echo, parse, udp
from guest.lab.rules import tool

_NATIVE = ("udp dport 9 snat to 10.0.2.1", "udp dport 53 masquerade")
_IPTABLES = (
    "*nat\n-A POSTROUTING -p udp --dport 9 -j SNAT --to-source 10.0.2.1\n-A POSTROUTING -p udp --dport 53 -j"
    " MASQUERADE"
)


@experiment(
    facts=[
        Fact("masqueraded", int, "masqueraded flows before"),
        Fact("after_unrelated", int, "masqueraded flows once another address of the interface is gone"),
        Fact("after_address", int, "masqueraded flows once the address they use is gone"),
        Fact("snat_after_address", int, "flows with a fixed SNAT to that same address then"),
        Fact("after_down", int, "masqueraded flows, of three new ones, once the interface is down"),
        Fact("snat_after_down", int, "flows with a fixed SNAT then"),
    ],
    invariants=[
        Invariant(
            "masqueraded flows do not outlive their address or interface",
            lambda facts, variant: facts["after_down"] == 0,
        ),
        Invariant(
            "SNAT to a fixed address outlives both", lambda facts, variant: facts["snat_after_down"] == 1
        ),
    ],
    variants={"frontend": FRONTENDS},
)
def masquerade_address_gone(lab: Lab) -> FactDict:
    """Do masqueraded flows end when their interface loses its address or goes down?

    Three masqueraded flows and one with a fixed SNAT leave through an interface with two addresses.
    The second address is removed, then the one in use, then the interface goes down. A dial-up line
    with a new address must not keep old mappings.
    """
    router = lab.router(states=False)
    lab.links.address("tun1", "10.0.2.77/24")
    if lab.frontend == "native":
        lab.chain("postrouting nat", *_NATIVE)
    else:
        lab.iptables(_IPTABLES)

    def send() -> None:
        for port in range(40000, 40003):
            router.from_client(udp(f"10.0.1.2:{port}", "10.0.2.2:53"))

    def left(port: int, expected: int) -> int:
        # Entries are removed in the background: wait for them, and as long for those that must
        # stay.
        count = -1

        def same() -> bool:
            nonlocal count
            count = sum(flow.orig.dport == port for flow in lab.flows())
            return count == expected

        lab.until(f"{expected} flows to port {port}", same, 2)
        return count

    send()
    router.from_client(udp("10.0.1.2:40000", "10.0.2.2:9"))
    facts: FactDict = {"masqueraded": left(53, 3)}
    tool("ip", "address", "del", "10.0.2.77/24", "dev", "tun1")
    facts["after_unrelated"] = left(53, 0)
    tool("ip", "address", "del", "10.0.2.1/24", "dev", "tun1")
    facts |= {"after_address": left(53, 0), "snat_after_address": left(9, 1)}
    lab.links.address("tun1", "10.0.2.1/24")
    send()
    tool("ip", "link", "set", "tun1", "down")
    return facts | {"after_down": left(53, 0), "snat_after_down": left(9, 1)}


@experiment(
    facts=[
        Fact("before", str, "which interface and source address the flow leaves with: interface and address"),
        Fact(
            "moved",
            str,
            "... the flow's first packet after its route has moved to another interface; or lost",
        ),
        Fact("next", str, "... the one after that"),
        Fact("new_flow", str, "... a new flow"),
        Fact("flows", int, "flows of that client and port afterwards"),
    ],
    invariants=[
        Invariant(
            "a new flow gets the address of its own interface",
            lambda facts, variant: (facts["before"], facts["new_flow"]) == ("tun1 10.0.2.1", "tun2 10.0.3.1"),
        )
    ],
    variants={"translation": ("masquerade", "snat")},
)
def masquerade_route_change(lab: Lab) -> FactDict:
    """What becomes of a translated flow when its route moves to another uplink?

    A router with two uplinks. A UDP flow to 198.51.100.1 leaves by the first, masqueraded or with a
    fixed SNAT per interface; then the route is moved to the second and the flow continues. Failover
    between two providers: a flow that keeps the old source address is dead for good, because every
    packet keeps its entry alive.
    """
    masquerade = lab.variant["translation"] == "masquerade"
    first, second = ("masquerade", "masquerade") if masquerade else ("snat to 10.0.2.1", "snat to 10.0.3.1")
    router = lab.router(states=False)
    uplink = lab.tun("tun2")
    lab.chain("postrouting nat", f"oif tun1 {first}", f"oif tun2 {second}")
    lab.links.route("198.51.100.0/24", via="10.0.2.2", name="tun1")

    def leaves(port: int) -> str:
        router.from_client(udp(f"10.0.1.2:{port}", "198.51.100.1:53"))
        elsewhere = uplink.read()
        if router.out:
            return f"tun1 {parse(router.out[0]).src}"
        return f"tun2 {parse(elsewhere[0]).src}" if elsewhere else "lost"

    facts: FactDict = {"before": leaves(40000)}
    tool("ip", "route", "replace", "198.51.100.0/24", "via", "10.0.3.2", "dev", "tun2")
    facts |= {"moved": leaves(40000), "next": leaves(40000), "new_flow": leaves(40001)}
    return facts | {"flows": sum(flow.orig.sport == 40000 for flow in lab.flows())}


@experiment(
    facts=[
        Fact("first", bool, "whether the first client's id is kept"),
        Fact("second", bool, "whether the second client's, which is the same, is kept"),
        Fact(
            "answers",
            list,
            "to whom the server's replies to the two are delivered: client, other client, or lost",
        ),
        Fact("flows", int, "flows afterwards"),
    ],
    invariants=[
        Invariant(
            "each reply finds its own client",
            lambda facts, variant: facts["answers"] == ["client", "other client"] and not facts["second"],
        )
    ],
    variants={"family": FAMILIES},
)
def masqueraded_ping(lab: Lab) -> FactDict:
    """Can two masqueraded clients ping the same server with the same id?

    Echo requests from two clients with one and the same identifier; the server answers what it
    sees.
    """
    router = lab.router()
    lab.chain("postrouting nat", "oif tun1 masquerade", family="inet")
    clients = {router.client_address: "client", router.client_address[:-1] + "3": "other client"}
    kept, answers = [], []
    requests = []
    for client in clients:
        router.from_client(echo(client, router.server_address, 77))
        requests.append(parse(router.out[0]))
    for request in requests:
        kept.append(request.payload.id == 77)
        router.from_server(echo(router.server_address, request.src, request.payload.id, reply=True))
        answers.append(clients.get(parse(router.out[0]).dst, "another") if router.out else "lost")
    return {"first": kept[0], "second": kept[1], "answers": answers, "flows": len(lab.flows())}
