"""Time: lifetimes of entries, and when they really go."""

from __future__ import annotations

import time
from collections.abc import Callable

from guest.catalogue import FAMILIES, Fact, FactDict, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.packets import echo, endpoint, neighbour, parse, protocol, udp, with_ports
from guest.lab.router import Peer, Router

_STREAM = "net/netfilter/nf_conntrack_udp_timeout_stream"
_TRIES = 6
_AT_ONCE_SECONDS = 1.5  # kernels call a flow a stream after two


@experiment(
    facts=[
        Fact(
            "within", str, "how soon after a collection expired flows are collected: 90 s, 150 s, or longer"
        ),
        Fact("counts", bool, "whether expired flows are counted until then"),
    ],
    variants={"flows": ("3", "3000")},
    seconds=480,
    waits=True,
)
def gc_latency(lab: Lab) -> FactDict:
    """How long do expired flows linger, and still count towards the limit, on an idle machine?

    nf_conntrack_udp_timeout is 1 s. Flows are made and the machine left alone until they are gone:
    now a collection has just run. Then as many more, and the time until these are gone is taken.
    Only the count is polled, for reading the table itself would evict what has expired.
    """
    number = int(lab.variant["flows"])
    lab.track()
    wire = lab.host()
    lab.sysctl(sysctls.UDP_TIMEOUT, 1)

    def empties(port: int, seconds: float) -> bool:
        wire.flood(with_ports(udp("198.18.0.2:1", "192.0.2.1:53"), range(port, port + number)))
        return lab.until("the count to fall to 0", lambda: lab.conntrack.count() == 0, seconds)

    if not empties(2000, 200):
        return {"within": "longer", "counts": True}
    start = time.monotonic()
    gone = empties(10000, 150)
    took = time.monotonic() - start
    return {"within": "longer" if not gone else "90 s" if took < 90 else "150 s", "counts": took > 3}


@experiment(
    facts=[
        Fact("one_way", str, "lifetime after packets in one direction only"),
        Fact("answered", str, "lifetime right after the first answer"),
        Fact(
            "assured_at",
            str,
            "how the flow became assured: by the first answer, by a later packet, later than 2 s only, or not"
            " at all",
        ),
        Fact("stream_at_once", str, "lifetime after ten packets each way within the first two seconds"),
        Fact("stream_later", str, "lifetime after one more packet each way two seconds later"),
    ],
    variants={"family": FAMILIES},
)
def udp_timeouts_assured(lab: Lab) -> FactDict:
    """When does a UDP flow get the long timeout of a stream, and when is it exempt from early drop?

    A question, its answer, more of both at once, and again after two seconds. Timeouts are set to
    30 s, and 120 s for streams. DNS-like exchanges that are over at once should not occupy the
    table for two minutes.
    """
    router = lab.router()
    lab.sysctl(sysctls.UDP_TIMEOUT, 30)
    lab.sysctl(_STREAM, 120)
    facts: FactDict = {}
    for port in range(5000, 5000 + _TRIES):
        facts, seconds = _udp_stream(lab, router, port)
        # A guest that waited for a processor meanwhile has seen another exchange.
        if seconds < _AT_ONCE_SECONDS:
            break
    return facts


def _udp_stream(lab: Lab, router: Router, port: int) -> tuple[FactDict, float]:
    """The facts of one flow, and how long the packets took that are to come at once."""
    client, server = endpoint(router.client_address, port), endpoint(router.server_address, 53)
    question, answer = udp(client, server), udp(server, client)

    def now() -> tuple[str, bool]:
        flow = lab.flow(client)
        return flow.lifetime, flow.assured

    start = time.monotonic()
    router.from_client(question)
    router.from_client(question)
    one_way, _ = now()
    router.from_server(answer)
    answered, first = now()
    for _ in range(10):
        router.from_client(question)
        router.from_server(answer)
    at_once, later = now()
    seconds = time.monotonic() - start
    lab.journal.note(f"from port {port}: the packets that come at once took {seconds:.3f} s")
    lab.pause(2.2)
    router.from_client(question)
    router.from_server(answer)
    stream_later, last = now()
    when = (
        "the first answer" if first else "a later packet" if later else "after 2 s" if last else "not at all"
    )
    return {
        "one_way": one_way,
        "answered": answered,
        "assured_at": when,
        "stream_at_once": at_once,
        "stream_later": stream_later,
    }, seconds


@experiment(
    facts=[
        Fact(
            "went",
            dict,
            "packets, of five, that went where the first rules say, and where those in force since the second"
            " packet say",
        ),
        Fact("entry_refreshed", bool, "whether one-way packets keep the entry of the first rules alive"),
        Fact(
            "after_delete",
            str,
            "where the next packet goes once the entry is deleted: as the first rules say, or the second",
        ),
    ],
    seconds=40,
    variants={"family": FAMILIES, "nat": ("changed", "added", "removed")},
)
def one_way_udp_stale_dnat(lab: Lab) -> FactDict:
    """Does a client that keeps sending UDP to a service stay stuck to a backend that is gone?

    DNAT sends 10.0.2.100:53 to 10.0.2.2. The client sends; then the rule is changed to 10.0.2.3 and
    the client keeps sending from the same port, more often than the timeout of 3 s, and gets no
    answer. Syslog and DNS clients of a restarted pod do this. `added`: there is no NAT at all
    before, as when a client is up before its router's rules; `removed`: there is none afterwards.
    """
    service = neighbour(lab.server, 100)
    backends = {"changed": (2, 3), "added": (100, 3), "removed": (2, 100)}[lab.variant["nat"]]
    first, second = (neighbour(lab.server, host) for host in backends)
    rule = f"{lab.ip} daddr {service} dnat to"
    router = lab.router()
    dnat = None if first == service else lab.chain("prerouting nat", f"{rule} {first}")
    lab.sysctl(sysctls.UDP_TIMEOUT, 3)
    client = endpoint(router.client_address, 5000)
    packet = udp(client, endpoint(service, 53))
    went = {"first": 0, "second": 0}

    def send() -> str:
        router.from_client(packet)
        name = {first: "first", second: "second"}[parse(router.out[0]).dst]
        went[name] += 1
        return name

    send()
    if dnat:
        dnat.delete()
    if second != service:
        lab.chain("prerouting nat", f"{rule} {second}")
    for _ in range(4):
        lab.pause(1)
        send()
    counted = dict(went)
    flow = lab.flow(client)
    refreshed = flow.reply.source == first
    if flow:
        lab.conntrack.delete(flow)
    return {"went": counted, "entry_refreshed": refreshed, "after_delete": send()}


@experiment(
    facts=[
        Fact(
            "reopened", str, "conntrack state of a SYN with a higher sequence number on an entry in TIME_WAIT"
        ),
        Fact("reopened_state", str, "the entry's state after it"),
        Fact("lower", str, "conntrack state of a SYN with a lower sequence number"),
        Fact("lower_state", str, "the entry's state after it"),
        Fact("by_server", str, "conntrack state of a SYN from the server's side with a higher number"),
        Fact("by_server_state", str, "the entry's state after it"),
    ],
    variants={"family": FAMILIES},
)
def timewait_reuse(lab: Lab) -> FactDict:
    """Can a connection in TIME_WAIT be opened again at once, from either side?

    Three connections are closed in good order, the client first. Then comes a SYN on the same
    ports: with a higher sequence number, with a lower one, and from the former server. Busy clients
    reuse ports within two minutes.
    """
    router = lab.router()

    def closed(port: int) -> tuple[Peer, Peer]:
        client, server = router.handshake(port)
        client.fin()
        server.fin()
        client.ack()
        return client, server

    facts: FactDict = {}
    client, _ = closed(40000)
    facts |= {"reopened": client.syn(seq=client.seq + 100_000), "reopened_state": lab.state(client.endpoint)}
    client, _ = closed(40001)
    facts |= {"lower": client.syn(seq=client.seq - 500), "lower_state": lab.state(client.endpoint)}
    client, server = closed(40002)
    facts["by_server"] = server.syn(seq=server.seq + 100_000)
    flow = lab.flow(client.endpoint) or lab.flow(server.endpoint, client.endpoint)
    return facts | {"by_server_state": flow.state}


@experiment(
    facts=[
        Fact(
            "ladder",
            dict,
            "per step of a connection: the entry's timeout in seconds, rounded up to the usual timeouts",
        ),
        Fact("states", list, "per step: the entry's state"),
    ],
    variants={"family": FAMILIES},
)
def tcp_timeouts(lab: Lab) -> FactDict:
    """What is the lifetime of an entry in each state of a TCP connection?

    One connection from SYN to the last ACK, the entry's timeout read after each segment, and one
    that is reset. Defaults as the kernel has them.
    """
    router = lab.router()
    client, server = router.tcp()
    steps: list[tuple[str, Callable[[], str]]] = [
        ("syn", client.syn),
        ("synack", server.synack),
        ("ack", client.ack),
        ("data", lambda: client.data(100)),
        ("data_acked", server.ack),
        ("fin", client.fin),
        ("fin_acked", server.ack),
        ("second_fin", server.fin),
        ("last_ack", client.ack),
    ]
    ladder: dict[str, int] = {}
    states: list[str] = []
    reset, _ = router.handshake(40001)
    for name, step in [*steps, ("rst", reset.rst)]:
        step()
        flow = lab.flow((reset if name == "rst" else client).endpoint)
        ladder[name] = int(flow.lifetime.split()[0]) if flow else 0
        states.append(f"{name}: {flow.state}")
    return {"ladder": ladder, "states": states}


@experiment(
    facts=[
        Fact("renewed", bool, "whether a second SYN sets the timeout back"),
        Fact("state", str, "the entry's state after five SYNs"),
        Fact("forwarded", list, "conntrack states of the five SYNs"),
    ],
    variants={"family": FAMILIES},
)
def syn_retransmit_no_renew(lab: Lab) -> FactDict:
    """Does a retransmitted SYN renew the entry of an unanswered connection?

    Five identical SYNs, the last four after two seconds. If each renewed the entry, a client that
    retries would hold its place for ever.
    """
    router = lab.router()
    client, _ = router.tcp()
    first = client.seq
    forwarded = [client.syn(seq=first)]

    def left() -> int:
        return lab.flow(client.endpoint).timeout

    lab.until("the entry to be two seconds old", lambda: left() <= 118, 10)
    forwarded += [client.syn(seq=first) for _ in range(4)]
    return {"renewed": left() > 118, "state": lab.state(client.endpoint), "forwarded": forwarded}


@experiment(
    facts=[
        Fact(
            "lifetimes",
            dict,
            "per protocol: seconds the entry has left after one packet, rounded up to the usual timeouts",
        ),
        Fact("answered", dict, "per protocol: the same after one packet each way"),
    ],
    variants={"family": FAMILIES},
)
def generic_timeouts(lab: Lab) -> FactDict:
    """What is the lifetime of entries of protocols other than TCP, unanswered and answered?

    ICMP echo, UDP, GRE (without PPTP), ESP and protocol 253 through a router, defaults as the
    kernel has them.
    """
    router = lab.router()
    one, other = router.client_address, router.server_address
    raw = {"gre": 47, "esp": 50, "experimental": 253}
    packets = {"echo": (echo(one, other), echo(other, one, reply=True))}
    packets["udp"] = (
        udp(endpoint(one, 5000), endpoint(other, 53)),
        udp(endpoint(other, 53), endpoint(one, 5000)),
    )
    for name, number in raw.items():
        packets[name] = (protocol(one, other, number, b"\0" * 16), protocol(other, one, number, b"\0" * 16))
    facts: FactDict = {"lifetimes": {}, "answered": {}}
    for name, (question, answer) in packets.items():
        lab.conntrack.flush()
        router.from_client(question)
        facts["lifetimes"][name] = sum(int(flow.lifetime.split()[0]) for flow in lab.flows())
        router.from_server(answer)
        facts["answered"][name] = sum(int(flow.lifetime.split()[0]) for flow in lab.flows())
    return facts
