"""Address translation: which ports, which backends, and when none is left."""

from __future__ import annotations

from collections import Counter

from guest.catalogue import FAMILIES, FRONTENDS, Fact, FactDict, experiment
from guest.lab.lab import Lab
from guest.lab.packets import endpoint, neighbour, parse, ports, tcp, udp, with_ports

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
        Fact("insert_failed", bool, "whether the table's statistics count a failure"),
    ],
    variants={"family": FAMILIES},
)
def snat_exhaustion(lab: Lab) -> FactDict:
    """When the range of ports is used up, does a new connection get one whose connection is closed?

    SNAT to a range of four ports towards one server. Four connections hold them in SYN_SENT; then,
    in a fresh namespace, four that were closed in good order and are in TIME_WAIT. Clients behind a
    small range wait for two minutes where the answer is no.
    """
    facts: FactDict = {}
    own = neighbour(lab.server, 1)
    four_ports = f"oif tun1 tcp dport 80 snat to {endpoint(own, 30000)}-30003"
    place = lab.new_namespace()
    router = place.router()
    place.chain("postrouting nat", four_ports)
    for port in range(40000, 40004):
        router.tcp(port)[0].syn()
    facts["fifth_syn_sent"] = _fate(router.tcp(40004)[0].syn())
    failed = place.statistics()["insert_failed"]

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
    failed += place.statistics()["insert_failed"]
    return facts | {"insert_failed": failed > 0}


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
        Fact("random", bool, "whether masquerade random changes a free port (six times in eight at least)"),
    ],
    variants={"family": FAMILIES, "protocol": ("tcp", "udp")},
)
def snat_port_preserve(lab: Lab) -> FactDict:
    """Does masquerading keep the source port where it can, and what does it choose where it cannot?

    Two clients send from port 40000 to one server, the second of them and a third to another
    server; two from the privileged port 500; then with `random`. Ports that the kernel draws at
    random enter as classes.
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
    chain.replace("oif tun1 masquerade random")
    drawn = [port(2, sport, 2) != sport for sport in range(41000, 41008)]
    lab.journal.note(f"ports: {first} {second} {again} {third} {low} {drawn}")
    return {
        "kept": first == 40000,
        "clash": "lost" if not second else "the same" if second == 40000 else "another",
        "other_server": third == 40000,
        "mapping": again == second,
        "low_port": (
            "lost" if not low else "below 512" if low < 512 else "512 to 1023" if low < 1024 else "above"
        ),
        # Chance may draw the port that it was: one such draw of eight is no rule.
        "random": sum(drawn) >= 6,
    }


@experiment(
    facts=[
        Fact(
            "without",
            str,
            "a client's packet to its own network's public address: forwarded back, or lost, with DNAT alone",
        ),
        Fact(
            "answer_without",
            str,
            "what the client sees as the source of the server's answer: the server itself or the public"
            " address",
        ),
        Fact("answer_with", str, "the same with masquerading of such traffic"),
    ],
    variants={"family": FAMILIES},
)
def hairpin(lab: Lab) -> FactDict:
    """Can two machines behind the same router talk over its public address?

    10.0.1.2 connects to 10.0.2.1:80, which DNAT sends to 10.0.1.3, on the side it came from.
    Without masquerading the server answers straight to its neighbour, and the router would not see
    the answer: it is fed back here to show what the router would do with it.
    """
    client, server, public = lab.client, neighbour(lab.client, 3), neighbour(lab.server, 1)
    dnat = f"{lab.ip} daddr {public} tcp dport 80 dnat to {server}"
    masquerade = f"{lab.ip} saddr {client} {lab.ip} daddr {server} masquerade"
    facts: FactDict = {}
    for name in ("without", "with"):
        place = lab.new_namespace()
        router = place.router()
        place.chain("prerouting nat", dnat)
        if name == "with":
            place.chain("postrouting nat", masquerade)
        place.sysctl("net/ipv4/conf/all/send_redirects", 0)
        place.sysctl("net/ipv4/conf/tun0/send_redirects", 0)
        router.from_client(tcp(endpoint(client, 40000), endpoint(public, 80)))
        passed = [parse(data) for data in router.back if parse(data).dst == server]
        if name == "without":
            facts["without"] = "forwarded back" if passed else "lost"
        source = endpoint(passed[0].src, passed[0].sport) if passed else endpoint(client, 40000)
        router.from_client(tcp(endpoint(server, 80), source, "SA", ack=1001))
        seen = [parse(data).src for data in router.back if parse(data).dst == client]
        facts[f"answer_{name}"] = (
            {public: "public address", server: "the server itself"}.get(seen[0], seen[0]) if seen else "lost"
        )
    return facts
