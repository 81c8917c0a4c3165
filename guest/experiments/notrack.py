"""Packets that are exempt from connection tracking."""

from __future__ import annotations

import socket
from typing import Annotated

from guest.catalogue import FAMILIES, FRONTENDS, Fact, FactDict, Facts, Invariant, experiment
from guest.family import Family
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.packets import echo, ip, neighbour, parse
from guest.lab.router import LOST, Router


def _notrack(lab: Lab, iptables: str, native: str) -> None:
    if lab.frontend == "native":
        lab.chain("prerouting raw", f"{native} notrack")
    else:
        lab.iptables(f"*raw\n-A PREROUTING {iptables} -j CT --notrack")


def _unreachable(router: Router, original: bytes) -> str:
    """The server's ICMP port unreachable about a packet it received, and the state it was forwarded
    with.
    """
    from scapy.layers.inet import ICMP
    from scapy.layers.inet6 import ICMPv6DestUnreach

    error = (
        ICMPv6DestUnreach(code=4) / original
        if original[0] >> 4 == 6
        else ICMP(type=3, code=3) / original[:28]
    )
    return router.from_server(ip(router.server_address, parse(original).src) / error)


@experiment(
    facts=[
        Fact("states", list, "conntrack state of SYN, SYN+ACK and ACK as they are forwarded"),
        Fact("udp", str, "conntrack state of an exempt UDP packet"),
        Fact("error", str, "conntrack state of an ICMP error about that packet"),
        Fact("flows", int, "flows afterwards, one of them by an echo request that is not exempt"),
        Fact(
            "source",
            str,
            "whose address the server sees in an exempt packet although everything is masqueraded: client or"
            " router",
        ),
    ],
    invariants=[
        Invariant(
            "an exempt packet is UNTRACKED, has no entry, and is not translated",
            lambda facts, variant: (
                facts["states"] == ["UNTRACKED"] * 3 and facts["flows"] == 1 and facts["source"] == "client"
            ),
        )
    ],
    variants={"family": FAMILIES, "frontend": FRONTENDS},
)
def notrack(lab: Lab) -> FactDict:
    """What happens to packets that a NOTRACK rule exempts?

    TCP and UDP are exempt in raw PREROUTING, both directions; everything is masqueraded. A TCP
    handshake, one UDP packet with an ICMP port unreachable in return, and an echo request, which is
    not exempt. Exempt packets skip NAT too, which surprises those who only wanted to save entries.
    """
    router = lab.router()
    lab.chain("postrouting nat", "masquerade", family="inet")
    for protocol in ("tcp", "udp"):
        _notrack(lab, f"-p {protocol}", f"meta l4proto {protocol}")
    client, server = router.tcp()
    states = [client.syn(), server.synack(), client.ack()]
    state = router.from_client(router.udp()[0])
    source = parse(router.out[0]).src if router.out else ""
    facts: FactDict = {"states": states, "udp": state, "error": _unreachable(router, router.out[0])}
    router.from_client(echo(lab.client, lab.server))
    names = {router.client_address: "client", neighbour(router.server_address, 1): "router"}
    return facts | {"flows": len(lab.flows()), "source": names.get(source, "lost")}


@experiment(
    facts=[
        Fact("tcp", list, "conntrack state of SYN, SYN+ACK, ACK, and data each way"),
        Fact("tcp_state", str, "the TCP state of the entry, if one came to be, or gone"),
        Fact("udp", list, "conntrack state of a UDP request, its answer, a second request and its answer"),
        Fact(
            "udp_origin",
            str,
            "who counts as the originator of the UDP flow in the table: client, server, or gone",
        ),
    ],
    invariants=[
        Invariant(
            "the exempt direction is UNTRACKED",
            lambda facts, variant: set(facts["tcp"][::2] + facts["udp"][::2]) == {"UNTRACKED"},
        )
    ],
    variants={"frontend": FRONTENDS, "loose": ("0", "1")},
)
def asymmetric_notrack(lab: Lab) -> FactDict:
    """What does connection tracking make of connections of which one direction is exempt?

    What comes from the client's network is NOTRACK, what comes from the server's is not, as with an
    exemption that was written for one direction only. A firewall that drops INVALID cuts such
    connections off. `loose` is nf_conntrack_tcp_loose.
    """
    router = lab.router()
    lab.sysctl(sysctls.TCP_LOOSE, lab.variant["loose"])
    _notrack(lab, "-i tun0", 'iifname "tun0"')
    client, server = router.tcp()
    states = [client.syn(), server.synack(), client.ack(), server.data(100), client.data(100)]
    facts: FactDict = {"tcp": states, "tcp_state": lab.state("10.0.2.2:80")}
    request, answer = router.udp()
    facts["udp"] = [
        way(packet)
        for _ in range(2)
        for way, packet in ((router.from_client, request), (router.from_server, answer))
    ]
    origins = [flow.orig.source for flow in lab.flows() if flow.orig.protocol == 17]
    return facts | {
        "udp_origin": {"10.0.1.2": "client", "10.0.2.2": "server"}[origins[0]] if origins else "gone"
    }


class NotrackLoopback(Facts):
    """Facts of `notrack-loopback`."""

    output: Annotated[str, "conntrack state of the datagram in OUTPUT, behind raw"]
    prerouting: Annotated[str, "conntrack state of the same datagram in PREROUTING, behind raw"]
    flows: Annotated[int, "flows afterwards"]


@experiment(variants={"family": FAMILIES, "hook": ("none", "output", "prerouting")})
def notrack_loopback(lab: Lab) -> NotrackLoopback:
    """At which hook must traffic over the loopback interface be exempt?

    One UDP datagram from a socket to another of the same machine, with `notrack` for it in raw
    OUTPUT, in raw PREROUTING, or nowhere. It passes OUTPUT first and arrives in PREROUTING with the
    entry that it got there. DNS caches and proxies that talk to themselves fill tables this way.
    """
    if lab.variant["hook"] != "none":
        lab.chain(f"{lab.variant['hook']} raw", "meta l4proto udp notrack")
    for hook in ("output", "prerouting"):
        lab.chain(
            f"{hook} filter",
            *(f'meta l4proto udp ct state {state} counter comment "{hook} {state}"' for state in _SEEN),
        )
    address, kind = ("::1", socket.AF_INET6) if lab.family is Family.IPV6 else ("127.0.0.1", socket.AF_INET)
    with lab.inside(), socket.socket(kind, socket.SOCK_DGRAM) as receiver:
        receiver.bind((address, 5300))
        with socket.socket(kind, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"query", (address, 5300))
        receiver.settimeout(5)
        receiver.recv(16)
    counters = lab.counters()

    def state(hook: str) -> str:
        seen = [state.upper() for state in _SEEN if counters.packets(f"{hook} {state}")]
        return " ".join(seen) or LOST

    return NotrackLoopback(output=state("output"), prerouting=state("prerouting"), flows=len(lab.flows()))


@notrack_loopback.invariant("without an exemption it is one flow", when={"hook": "none"})
def _(facts: NotrackLoopback) -> bool:
    return facts.flows == 1


_SEEN = ("new", "established", "invalid", "untracked")
