"""Address translation: which ports, which backends, and when none is left."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from guest.catalogue import FAMILIES, FRONTENDS, Fact, FactDict, Facts, experiment
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import Packet, endpoint, neighbour, parse, ports, tcp, udp, with_ports
from guest.lab.router import LOST
from guest.lab.tun import Tun

_OPTIONS = ("none", "random", "fully-random", "persistent")


@experiment(
    facts=[
        Fact(
            "spread",
            list,
            "per option of the rule: which of the four ports 40 connections got: first (only the first), all,"
            " some, or one other",
        )
    ],
    variants={"frontend": FRONTENDS},
)
def dnat_port_range(lab: Lab) -> FactDict:
    """Does DNAT to a range of ports spread connections over it, or take the first port for all?

    40 SYNs from 40 source ports to 10.0.2.2:80, translated to 10.0.2.2:8000-8003: by the range
    alone, with random, with fully-random (which iptables' DNAT does not know) and with persistent.
    Home-made load balancing over ports depends on it. The counts are in notes.txt.
    """
    found = []
    for option in _OPTIONS:
        if option == "fully-random" and lab.frontend != "native":
            continue
        place = lab.new_namespace()
        router = place.router(states=False)
        suffix = "" if option == "none" else option
        if lab.frontend == "native":
            place.chain("prerouting nat", f"tcp dport 80 dnat to 10.0.2.2:8000-8003 {suffix}")
        else:
            flag = f"--{suffix}" if suffix else ""
            place.iptables(
                f"*nat\n-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.2.2:8000-8003 {flag}"
            )
        chosen: Counter[int] = Counter()
        for syn in with_ports(tcp("10.0.1.2:1", "10.0.2.2:80"), range(40000, 40040)):
            router.from_client(syn)
            chosen.update(ports(data)[1] for data in router.out)
        lab.journal.note(f"{option}: {dict(sorted(chosen.items()))}")
        found.append(f"{option}: {_spread(chosen)}")
    return {"spread": found}


def _spread(chosen: Counter[int]) -> str:
    if len(chosen) == 1:
        return "first" if 8000 in chosen else "one other"
    return "all" if len(chosen) == 4 else "some"


@experiment(
    facts=[
        Fact(
            "fifth_syn_sent",
            str,
            "a fifth SYN when the four ports are held by connections in SYN_SENT: forwarded or lost",
        ),
        Fact("fifth_higher", str, "a fifth SYN with a higher sequence number when the four are in TIME_WAIT"),
        Fact("sixth_lower", str, "a sixth SYN with a lower sequence number then"),
        Fact(
            "insert_failed",
            dict,
            "failures that the table's statistics count while the four are in SYN_SENT, and in TIME_WAIT",
        ),
    ],
    variants={"family": FAMILIES},
)
def snat_exhaustion(lab: Lab) -> FactDict:
    """When the range of ports is used up, does a new connection get one whose connection is closed?

    SNAT to a range of four ports towards one server. Four connections hold them in SYN_SENT; then,
    in a fresh namespace, four that were closed in good order and are in TIME_WAIT. Clients behind a
    small range wait for two minutes where the answer is no.
    """
    facts: FactDict = {"insert_failed": {}}
    own = neighbour(lab.server, 1)
    four_ports = f"oif tun1 tcp dport 80 snat to {endpoint(own, 30000)}-30003"
    place = lab.new_namespace()
    router = place.router()
    place.chain("postrouting nat", four_ports)
    for port in range(40000, 40004):
        router.tcp(port)[0].syn()
    facts["fifth_syn_sent"] = _fate(router.tcp(40004)[0].syn())
    facts["insert_failed"]["SYN_SENT"] = place.statistics()["insert_failed"]

    place = lab.new_namespace()
    router = place.router()
    place.chain("postrouting nat", four_ports)
    for port in range(40000, 40004):
        client, server = router.tcp(port)
        client.syn()
        server.remote = endpoint(own, ports(router.out[0])[0])
        server.synack()
        client.ack()
        client.fin()
        server.fin()
        client.ack()
    place.journal.note(f"states: {[flow.state for flow in place.flows()]}")
    facts["fifth_higher"] = _fate(router.tcp(40004, seq=1_000_000)[0].syn())
    facts["sixth_lower"] = _fate(router.tcp(40005, seq=10)[0].syn())
    facts["insert_failed"]["TIME_WAIT"] = place.statistics()["insert_failed"]
    return facts


def _fate(state: str) -> str:
    return "lost" if state == "lost" else "forwarded"


@experiment(
    facts=[
        Fact("kept", bool, "whether a free source port is kept"),
        Fact(
            "clash",
            str,
            "what becomes of the second flow with the same source port to the same server: another port, the"
            " same, or lost",
        ),
        Fact(
            "other_server", bool, "whether a third client keeps the same source port towards another server"
        ),
        Fact(
            "mapping",
            bool,
            "whether a client's port, once changed, is changed to the same towards another server",
        ),
        Fact(
            "low_port", str, "what becomes of the clashing source port 500: below 512, 512 to 1023, or above"
        ),
        Fact(
            "options",
            list,
            "per option of the rule: what becomes of sixteen free source ports: kept, changed (twelve at"
            " least), or some changed",
        ),
    ],
    variants={"family": FAMILIES, "protocol": ("tcp", "udp")},
)
def snat_port_preserve(lab: Lab) -> FactDict:
    """Does masquerading keep the source port where it can, and what does it choose where it cannot?

    Two clients send from port 40000 to one server, the second of them and a third to another
    server; two from the privileged port 500. Then sixteen flows each, whose ports are free, with
    `random`, with `fully-random` and without either. Ports that the kernel draws at random enter as
    classes.
    """
    make = tcp if lab.variant["protocol"] == "tcp" else udp
    router = lab.router()
    chain = lab.chain("postrouting nat", "oif tun1 masquerade")

    def port(client: int, sport: int, server: int) -> int:
        """The source port of a packet as the server sees it; `client` and `server` are the last
        numbers of their addresses.
        """
        source, destination = (
            neighbour(router.client_address, client),
            neighbour(router.server_address, server),
        )
        router.from_client(make(endpoint(source, sport), endpoint(destination, 80)))
        return ports(router.out[0])[0] if router.out else 0

    first = port(2, 40000, 2)
    second = port(3, 40000, 2)
    again = port(3, 40000, 3)
    third = port(4, 40000, 3)
    port(2, 500, 2)
    low = port(3, 500, 2)
    options = []
    for option, base in (("none", 41000), ("random", 42000), ("fully-random", 43000)):
        chain.replace(f"oif tun1 masquerade {'' if option == 'none' else option}")
        changed = sum(port(2, sport, 2) != sport for sport in range(base, base + 16))
        # Chance may draw the port that it was: a few such draws are no rule.
        options.append(
            f"{option}: {'kept' if not changed else 'changed' if changed >= 12 else 'some changed'}"
        )
    lab.journal.note(f"ports: {first} {second} {again} {third} {low}")
    return {
        "kept": first == 40000,
        "clash": "lost" if not second else "the same" if second == 40000 else "another",
        "other_server": third == 40000,
        "mapping": again == second,
        "low_port": (
            "lost" if not low else "below 512" if low < 512 else "512 to 1023" if low < 1024 else "above"
        ),
        "options": options,
    }


_CLIENT_HARDWARE, _SERVER_HARDWARE = b"\2\0\0\0\0\2", b"\2\0\0\0\0\3"
_ETHERTYPES = {Family.IPV4: b"\x08\x00", Family.IPV6: b"\x86\xdd"}


class Hairpin(Facts):
    """Facts of `hairpin`."""

    without: Annotated[
        str, "whose address the server sees, with DNAT alone: the client's, the router's, or lost"
    ]
    answer_without: Annotated[
        str, "whose address the client sees in the answer then: the server's, the public address, or lost"
    ]
    with_masquerade: Annotated[str, "whose address the server sees if such traffic is masqueraded too"]
    answer_with: Annotated[str, "whose address the client sees in the answer then"]


@experiment(variants={"family": FAMILIES})
def hairpin(lab: Lab) -> Hairpin:
    """Can two machines behind the same router talk over its public address?

    10.0.3.2 connects to 10.0.2.1:80, which DNAT sends to 10.0.3.3, a neighbour on the same wire.
    The server answers to the address that it sees: straight to its neighbour, or to the router,
    which translates back. A client that is answered from another address than it asked resets.
    """
    seen = [_hairpin(lab.new_namespace(), masquerade=masquerade) for masquerade in (False, True)]
    (without, answer_without), (with_masquerade, answer_with) = seen
    return Hairpin(
        without=without,
        answer_without=answer_without,
        with_masquerade=with_masquerade,
        answer_with=answer_with,
    )


def _hairpin(place: Namespace, *, masquerade: bool) -> tuple[str, str]:
    """Whose address the server sees, and whose the client sees in the server's answer."""
    own, client, server = (place.family.network(3, host) for host in (1, 2, 3))
    public = neighbour(place.server, 1)
    wire = _lan(place, {client: _CLIENT_HARDWARE, server: _SERVER_HARDWARE})
    place.chain("prerouting nat", f"{place.ip} daddr {public} tcp dport 80 dnat to {server}")
    if masquerade:
        place.chain("postrouting nat", f"{place.ip} saddr {client} {place.ip} daddr {server} masquerade")
    router = place.links.hardware(wire.name)

    def passed(packet: Packet, sender: bytes, receiver: bytes) -> list[Packet]:
        """What the router sends to one machine on the wire for a packet from another."""
        wire.read()
        wire.send(router + sender + _ETHERTYPES[place.family] + bytes(packet))
        packets = [parse(frame[14:]) for frame in wire.read() if frame[:6] == receiver]
        return [packet for packet in packets if "TCP" in packet]

    question = tcp(endpoint(client, 40000), endpoint(public, 80))
    arrived = passed(question, _CLIENT_HARDWARE, _SERVER_HARDWARE)
    if not arrived:
        return LOST, LOST
    peer = arrived[0].src
    answer = tcp(endpoint(server, 80), endpoint(peer, arrived[0].sport), "SA", ack=1001)
    # What is addressed to a neighbour does not pass the router.
    answers = [answer] if peer == client else passed(answer, _SERVER_HARDWARE, _CLIENT_HARDWARE)
    names = {
        client: "the client's",
        own: "the router's",
        public: "the public address",
        server: "the server's",
    }
    return names.get(peer, peer), names.get(answers[0].src, answers[0].src) if answers else LOST


def _lan(place: Namespace, machines: dict[str, bytes]) -> Tun:
    """A router, and tap0 as its wire to machines, given as hardware addresses by IP address."""
    place.router(states=False)
    wire = place.device("tap0", tap=True)
    place.links.address(wire.name, place.family.interface(3))
    place.links.up(wire.name)
    for address, hardware in machines.items():
        place.links.neighbour(wire.name, address, hardware)
    return wire
