"""UDP flows that are disturbed: a flush, and first packets that cross each other."""

from __future__ import annotations

from guest.catalogue import FAMILIES, Fact, FactDict, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.packets import endpoint, neighbour, parse, ports, udp


@experiment(
    facts=[
        Fact("kept", str, "the source port the server sees after the flush: same, other, or lost"),
        Fact("state", str, "conntrack state of the client's first segment after the flush"),
        Fact("client_entry", str, "TCP state of the entry it makes"),
        Fact(
            "server_first",
            str,
            "what becomes of the server's segment when it comes first: forwarded, reset by the router, or"
            " lost",
        ),
        Fact(
            "server_entry",
            str,
            "TCP state of an entry that segment left, or gone",
            guard="what the router answers with a reset must not make an entry that holds the port",
        ),
        Fact("udp_server_first", str, "the same for UDP: forwarded, refused by the router (ICMP), or lost"),
    ],
    variants={"family": FAMILIES, "loose": ("0", "1")},
)
def flush_during_flow(lab: Lab) -> FactDict:
    """What happens to masqueraded connections when the table is flushed under them?

    Three masqueraded connections with data both ways; then `conntrack -F`. On the first the client
    sends next, on the second (TCP) and the third (UDP) the server. `loose` is
    nf_conntrack_tcp_loose. The server's packets are addressed to the router itself, which no longer
    knows their client.
    """
    router = lab.router()
    lab.chain("postrouting nat", "oif tun1 masquerade")
    own = neighbour(router.server_address, 1)
    lab.sysctl(sysctls.TCP_LOOSE, lab.variant["loose"])
    peers = []
    for port in (40000, 40001):
        client, server = router.tcp(port)
        client.syn()
        server.remote = endpoint(own, ports(router.out[0])[0])
        peers.append((client, server))
        server.synack()
        client.ack()
        client.data(100)
        server.data(100)
        client.ack()
    question, _ = router.udp(40002)
    answer = udp(endpoint(router.server_address, 53), endpoint(own, 40002))
    router.from_client(question)
    router.from_server(answer)
    lab.conntrack.flush()
    (client, _), (_, server) = peers
    facts: FactDict = {"state": client.data(100)}
    facts["kept"] = ("same" if ports(router.out[0])[0] == 40000 else "other") if router.out else "lost"
    facts["client_entry"] = lab.state(client.endpoint)
    server.data(100)
    answers = ["reset by the router" for data in router.back if "R" in str(parse(data)["TCP"].flags)]
    facts["server_first"] = "forwarded" if router.out else (answers or ["lost"])[0]
    facts["server_entry"] = lab.state(server.endpoint)
    router.from_server(answer)
    refused = any(parse(data).payload.name.startswith("ICMP") for data in router.back)
    return facts | {
        "udp_server_first": "forwarded" if router.out else "refused by the router" if refused else "lost"
    }


@experiment(
    facts=[
        Fact(
            "states",
            list,
            "conntrack state of the server's first packet, of the client's that was under way, and of one"
            " more each way",
        ),
        Fact("arrived", bool, "whether the client's packet leaves towards the server once it is let go"),
        Fact("flows", int, "flows afterwards"),
        Fact("clash_resolve", int, "clashes the statistics count as resolved"),
        Fact(
            "insert_failed",
            int,
            "flows the statistics count as not insertable",
            guard="a packet that met its answer on the way must not be lost, nor counted as if it were",
        ),
    ],
    variants={"family": FAMILIES},
)
def udp_crossing(lab: Lab) -> FactDict:
    """Do the first packets of two UDP peers that cross each other on the way make one flow?

    Peers with fixed ports (WireGuard, IKE, games) may both begin at once. The client's first packet
    waits in an NFQUEUE, its entry unconfirmed, while the server's first packet passes; then it is
    let go. `udp-crossing-race` asks the same without a queue.
    """
    router = lab.router()
    lab.chain("forward 250", "iif tun0 ct state new queue num 0")
    queue = lab.queue()
    before = lab.statistics()
    request, crossing = router.udp(40000, 50000)
    router.from_client(request)
    (held,) = queue.waiting(1)
    states = [router.from_server(crossing)]
    queue.accept(held)
    states.append(router.late(router.server))
    out = router.out
    states += [router.from_client(request), router.from_server(crossing)]
    statistics = lab.statistics(before)
    return {
        "states": states,
        "arrived": bool(out),
        "flows": len(lab.flows()),
        "clash_resolve": statistics.get("clash_resolve", 0),
        "insert_failed": statistics["insert_failed"],
    }
