"""Packets that are dropped: do they leave entries, and is the sender informed?"""

from __future__ import annotations

import re
import socket
from typing import Annotated

from guest.catalogue import IPTABLES, SCOPES, Fact, FactDict, Facts, Invariant, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import echo, udp, with_ports
from guest.lab.router import Router
from guest.linux import errno_name

_DROPS = {
    "accepted": "*raw\n-A PREROUTING -p tcp",
    "raw": "*raw\n-A PREROUTING -p udp -j DROP",
    "mangle": "*mangle\n-A PREROUTING -p udp -j DROP",
    "input": "*filter\n-A INPUT -p udp -j DROP",
    "input_reject": "*filter\n-A INPUT -p udp -j REJECT",
    "input_policy": "*filter\n:INPUT DROP [0:0]",
    "forward": "*filter\n-A FORWARD -p udp -j DROP",
    "forward_policy": "*filter\n:FORWARD DROP [0:0]",
    "postrouting": "*mangle\n-A POSTROUTING -p udp -j DROP",
}


@experiment(
    facts=[
        Fact(
            "flows",
            dict,
            "flows left by one UDP packet to the router itself and one through it, by where such packets are"
            " dropped",
        )
    ],
    invariants=[
        Invariant(
            "accepted packets leave an entry each", lambda facts, variant: facts["flows"]["accepted"] == 2
        ),
        Invariant(
            "a first packet that is dropped leaves none",
            lambda facts, variant: (
                facts["flows"]["raw"] == facts["flows"]["mangle"] == 0
                and all(
                    facts["flows"][name] == 1
                    for name in _DROPS
                    if name.startswith(("input", "forward", "postrouting"))
                )
            ),
        ),
    ],
    variants={"frontend": IPTABLES, "scope": SCOPES},
)
def input_drop_no_entry(lab: Lab) -> FactDict:
    """Does a dropped first packet leave an entry in the table?

    Two UDP packets, one for the router itself and one that it forwards, in a fresh namespace per
    place of the drop: raw or mangle PREROUTING (which both pass), filter INPUT by rule, REJECT or
    policy, filter FORWARD by rule or policy, mangle POSTROUTING. An entry is put into the table
    only when its packet has passed the last hook, so a flood that is dropped does not fill it.
    """
    flows = {}
    for name, rules in _DROPS.items():
        place = lab.new_namespace()
        router = place.router(states=False)
        place.iptables("*raw\n-A PREROUTING -p udp -j CT")
        place.iptables(rules)
        router.from_client(udp("10.0.1.2:40000", "10.0.1.1:53"))
        router.from_client(udp("10.0.1.2:40000", "10.0.2.2:53"))
        # The two packets' entries only: the router's own answers do not matter.
        flows[name] = sum(flow.orig.sport == 40000 for flow in place.flows())
        router.client.close()
        router.server.close()
    return {"flows": flows}


@experiment(
    facts=[
        Fact("udp", str, "what sendto says to the sender of a new UDP flow: ok or an errno"),
        Fact(
            "tcp",
            str,
            "what connect says when it tries to send a SYN: ok or an errno (EINPROGRESS: nothing yet)",
        ),
        Fact("icmp", str, "what sendto says to the sender of an echo request on a raw socket"),
        Fact(
            "known_flow",
            str,
            "what sendto says to the sender of a flow that was in the table before it filled up",
        ),
        Fact("sent", int, "packets that left, of these four"),
        Fact("drop", int, "packets the table's statistics count as dropped"),
        Fact("after", str, "what sendto says to the new UDP flow once there is room again"),
    ],
    invariants=[
        Invariant("packets of a known flow still pass", lambda facts, variant: facts["known_flow"] == "ok"),
        Invariant("once there is room a new flow can be sent", lambda facts, variant: facts["after"] == "ok"),
    ],
    variants={"scope": SCOPES},
)
def table_full_local_send(lab: Lab) -> FactDict:
    """What does a local program see when the table is full?

    Six established connections through the router and one UDP flow of the machine's own fill a
    table of seven. Then the machine itself sends: one more packet of its flow, a new UDP flow, a
    SYN, an echo request. The errno EPERM of a DNS query or a ping is often the only sign of a full
    table that a program gets; a SYN is just sent again later. Established connections are assured
    and cannot be evicted; the UDP flow can: tries that early drop disturbed are repeated, as in
    `table-full`.
    """
    for place in lab.undisturbed():
        router = place.router(states=False)
        place.track()
        with place.inside():
            facts = _sent_locally(lab, place, router)
    return facts


def _sent_locally(lab: Lab, place: Namespace, router: Router) -> FactDict:
    """The facts of one try: fills the table, sends from the machine itself, makes room again."""
    _attempt(socket.SOCK_DGRAM, b"before", 52)
    for port in range(40000, 40006):
        router.handshake(port)
    lab.root.sysctl(sysctls.MAX, place.conntrack.count())
    router.server.read()
    before = place.statistics()
    ping = bytes(echo("10.0.2.1", "10.0.2.2").payload)
    facts: FactDict = {
        "known_flow": _attempt(socket.SOCK_DGRAM, b"again", 52),
        "udp": _attempt(socket.SOCK_DGRAM, b"new", 53),
        "tcp": _attempt(socket.SOCK_STREAM, b"", 80),
        "icmp": _attempt(socket.SOCK_RAW, ping, 0, socket.IPPROTO_ICMP),
    }
    facts |= {"sent": len(router.server.read()), "drop": place.statistics(before)["drop"]}
    lab.root.sysctl(sysctls.MAX, 1000)
    return facts | {"after": _attempt(socket.SOCK_DGRAM, b"new", 53)}


def _attempt(kind: int, data: bytes, port: int, protocol: int = 0) -> str:
    """Sends from the router's own address to a server; returns `ok`, or the errno."""
    with socket.socket(socket.AF_INET, kind, protocol) as sender:
        sender.bind(("10.0.2.1", 0 if kind == socket.SOCK_RAW else 50000 + port))
        sender.setblocking(False)
        try:
            if kind == socket.SOCK_STREAM:
                sender.connect(("10.0.2.2", port))
            else:
                sender.sendto(data, ("10.0.2.2", port))
        except OSError as error:
            return errno_name(error)
    return "ok"


class InitialNamespaceFull(Facts):
    """Facts of `initial-namespace-full`."""

    flows: Annotated[int, "flows counted after ten packets against a limit of seven"]
    drop: Annotated[int, "packets the table's statistics count as dropped, or as let in for another's entry"]
    dmesg: Annotated[list[str], "what the kernel logged, each line once, numbers replaced by N"]


@experiment(alone="it sends packets into the initial namespace")
def initial_namespace_full(lab: Lab) -> InitialNamespaceFull:
    """What does the kernel log when the table of the machine itself is full?

    As `table-full`, with ten UDP packets that arrive in the initial namespace, not in a
    container's. A line that an alert waits for may be another there.
    """
    place = lab.initial()
    wire = place.host()
    track = place.track()
    lab.root.sysctl(sysctls.MAX, place.conntrack.count() + 7)
    before, counted = place.statistics(), place.conntrack.count()
    wire.send(*with_ports(udp("198.18.0.2:1", "192.0.2.1:53"), range(10000, 10010)))
    full = [line for line in lab.root.dmesg() if "table full" in line]
    track.delete()
    statistics = place.statistics(before)
    return InitialNamespaceFull(
        flows=place.conntrack.count() - counted,
        # An entry is evicted if it is near the new one's place in the table, which chance decides.
        drop=statistics["drop"] + statistics["early_drop"],
        dmesg=sorted({re.sub(r"\d+", "N", line) for line in full}),
    )


@initial_namespace_full.invariant("ten packets against a limit of seven leave seven flows")
def _(facts: InitialNamespaceFull) -> bool:
    return facts.flows == 7 and facts.drop == 3
