"""Limits on connections, and proxies that hold them back."""

from __future__ import annotations

from guest.catalogue import Fact, Facts, Invariant, Unsupported, experiment
from guest.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import Packet, parse, tcp, udp
from guest.lab.router import LOST, Peer, Router
from guest.root import Refused


def _limited(lab: Lab, place: Namespace, protocol: str, above: int) -> Router:
    module = "nft_connlimit" if lab.frontend == "native" else "xt_connlimit"
    try:
        lab.root.modprobe(module)
    except Refused as refusal:
        raise Unsupported(str(refusal)) from refusal
    if lab.frontend == "native":
        return place.router(
            f"table ip few {{ chain f {{ type filter hook forward priority 0; meta l4proto {protocol} ct count over {above} drop; }}; }}"
        )
    router = place.router()
    place.iptables(f"*filter\n-A FORWARD -p {protocol} -m connlimit --connlimit-above {above} --connlimit-mask 0 -j DROP")
    return router


@experiment(
    facts=[
        Fact("one_flow", int, "of five packets of one flow: how many pass a limit of three flows"),
        Fact("flows", int, "of four more flows, one packet each: how many pass"),
        Fact("syns", int, "of eight SYNs from eight ports: how many pass"),
        Fact("syns_again", int, "of the same eight SYNs, sent again: how many pass"),
        Fact("after_delete", int, "of four more SYNs, after the table was flushed: how many pass"),
    ],
    variants={"frontend": ("legacy", "nft", "native")},
)
def connlimit(lab: Lab) -> Facts:
    """Do connection limits count a flow's every packet, or every flow once?

    A limit of three flows in FORWARD: connlimit in iptables, `ct count` in nft. Five packets of one UDP flow, then four more flows. In
    another namespace eight SYNs, the same again as retransmissions, and four more after the table was flushed.
    """

    def passed(router: Router, packets: list[Packet]) -> int:
        return sum(router.from_client(packet) != LOST for packet in packets)

    place = lab.another()
    router = _limited(lab, place, "udp", 3)
    facts: Facts = {
        "one_flow": passed(router, [udp("10.0.1.2:5000", "10.0.2.2:53")] * 5),
        "flows": passed(router, [udp(f"10.0.1.2:{port}", "10.0.2.2:53") for port in range(5001, 5005)]),
    }
    place = lab.another()
    router = _limited(lab, place, "tcp", 3)
    syns = [tcp(f"10.0.1.2:{port}", "10.0.2.2:80") for port in range(5000, 5008)]
    facts |= {"syns": passed(router, syns), "syns_again": passed(router, syns)}
    place.conntrack.flush()
    return facts | {"after_delete": passed(router, [tcp(f"10.0.1.2:{port}", "10.0.2.2:80") for port in range(6000, 6004)])}


_SYNPROXY = {
    "native": """
        table ip proxy {
            chain pre { type filter hook prerouting priority -300; iifname "tun0" tcp dport 80 tcp flags syn notrack; };
            chain f {
                type filter hook forward priority 0;
                tcp dport 80 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm;
                ct state invalid drop;
            };
        }
    """,
    "iptables": """
        *raw
        -A PREROUTING -i tun0 -p tcp --dport 80 --syn -j CT --notrack
        *filter
        -A FORWARD -p tcp --dport 80 -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460
        -A FORWARD -m conntrack --ctstate INVALID -j DROP
    """,
}
_OPTIONS = [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 9)]


@experiment(
    facts=[
        Fact("answered", int, "SYN+ACKs for ten SYNs, the server not asked"),
        Fact("flood_flows", int, "entries that the ten SYNs left"),
        Fact("synack_options", list, "TCP options of the answer; those with an offered value carry it"),
        Fact("server_syn", bool, "whether the client's ACK makes the router open the connection to the server"),
        Fact("server_options", list, "options of the router's SYN to the server"),
        Fact("established", str, "state of the entry once the server has answered"),
        Fact("data", str, "conntrack state of the client's first data, numbered as the client was told"),
        Fact("renumbered", bool, "whether the server's data reaches the client with the numbers the client was told"),
    ],
    variants={"frontend": ("legacy", "nft", "native")},
    invariants=[
        Invariant(
            "a flood is answered without an entry in the table",
            lambda facts, variant: facts["answered"] == 10 and facts["flood_flows"] == 0,
        )
    ],
)
def synproxy(lab: Lab) -> Facts:
    """Does SYNPROXY keep a SYN flood out of the table, and still let an honest client through?

    tcp_loose is 0, SYNs are not tracked, and SYNPROXY answers in the server's place. Ten SYNs without an ACK; then one client that
    completes the handshake, upon which the router opens the connection to the server and goes between the two numberings.
    """
    native = lab.frontend == "native"
    try:
        lab.root.modprobe("nft_synproxy" if native else "ipt_SYNPROXY")
    except Refused as refusal:
        raise Unsupported(str(refusal)) from refusal
    lab.sysctl("net/netfilter/nf_conntrack_tcp_loose", 0)
    router = lab.router(_SYNPROXY["native"] if native else "")
    if not native:
        lab.iptables(_SYNPROXY["iptables"])
    answered = 0
    for port in range(50000, 50010):
        router.from_client(tcp(f"10.0.1.2:{port}", "10.0.2.2:80", options=_OPTIONS))
        answered += len(router.back)
    facts: Facts = {"answered": answered, "flood_flows": lab.conntrack.count()}
    client, server = router.tcp()
    client.syn(options=_OPTIONS)
    answer = parse(router.back[0])["TCP"]
    told = answer.seq + 1
    facts["synack_options"] = [name for name, _ in answer.options]
    stamp = dict(answer.options).get("Timestamp", (0, 0))[0]
    stamps = [("NOP", None), ("NOP", None), ("Timestamp", (2, stamp))]
    client.ack(ack=told, options=stamps)
    facts["server_syn"] = bool(router.out)
    if not router.out:
        raise Unsupported("the client's ACK was not taken for the end of a handshake")
    syn = parse(router.out[0])["TCP"]
    facts["server_options"] = [name for name, _ in syn.options]
    server_stamp = dict(syn.options).get("Timestamp", (0, 0))[0]
    server.send(
        "SA", ack=syn.seq + 1, options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (900, server_stamp)), ("NOP", None), ("WScale", 7)]
    )
    facts["established"] = lab.state(client.me)
    facts["data"] = client.send("PA", 100, ack=told, options=stamps)
    server.send("PA", 50, ack=client.next, options=[("NOP", None), ("NOP", None), ("Timestamp", (901, 2))])
    facts["renumbered"] = bool(router.out) and parse(router.out[0])["TCP"].seq == told & 0xFFFFFFFF
    return facts


_FLOWTABLE = """
    table ip fast {
        flowtable ft { hook ingress priority 0; devices = { tun0, tun1 }; };
        chain f { type filter hook forward priority 0; meta l4proto { tcp, udp } flow add @ft; };
    }
"""


@experiment(
    facts=[
        Fact("offloaded", bool, "whether an established connection is offloaded"),
        Fact("bypasses", bool, "whether its packets then bypass FORWARD"),
        Fact("after_fin", str, "the entry after both FINs: protocol state, and whether it is still offloaded"),
        Fact("later", str, "the same three seconds later"),
        Fact("after_rst", str, "another offloaded connection right after a RST"),
        Fact("udp", bool, "whether an answered UDP flow is offloaded"),
        Fact("one_way_udp", bool, "whether a UDP flow without an answer is"),
    ],
    modules=("nf_flow_table", "nft_flow_offload"),
    seconds=60,
)
def flowtable(lab: Lab) -> Facts:
    """When does a connection enter the flowtable's fast path, and when does it leave it?

    A flowtable on both tuns of a router. A connection is established and carries data; FINs go both ways; three seconds pass. Another one
    is reset. Packets on the fast path are seen by no rule: a connection that stays there after its end is not timed out as one would
    expect.
    """
    router = lab.router(_FLOWTABLE)

    def now(source: str) -> str:
        flow = lab.flow(source)
        return f"{flow.state}{', offloaded' if 'OFFLOAD' in flow.status else ''}" if flow else "gone"

    def established(port: int) -> tuple[Peer, Peer, bool]:
        client, server = router.handshake(port)
        client.data(100)
        server.ack()
        offloaded = lab.until("the connection to be offloaded", lambda: "offloaded" in now(client.me), 2)
        return client, server, offloaded

    client, server, offloaded = established(40000)
    facts: Facts = {"offloaded": offloaded}
    # FORWARD is where each packet is given its state: one without has gone round it.
    facts["bypasses"] = client.data(100) == "" or server.data(100) == ""
    client.fin()
    server.fin()
    client.ack()
    facts["after_fin"] = now(client.me)
    lab.pause(3)
    facts["later"] = now(client.me)
    client, server, _ = established(40001)
    client.rst()
    facts["after_rst"] = now(client.me)
    question, answer = udp("10.0.1.2:5000", "10.0.2.2:53"), udp("10.0.2.2:53", "10.0.1.2:5000")
    router.from_client(udp("10.0.1.2:5001", "10.0.2.2:53"))
    for _ in range(3):
        router.from_client(question)
        router.from_server(answer)
    facts["udp"] = lab.until("the UDP flow to be offloaded", lambda: "offloaded" in now("10.0.1.2:5000"), 2)
    facts["one_way_udp"] = "offloaded" in now("10.0.1.2:5001")
    return facts
