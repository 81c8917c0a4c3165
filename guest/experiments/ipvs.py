"""IPVS: connections that the kernel hands to several servers."""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.lab.ipvs import Ipvs, Service
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import Packet, endpoint, ip, neighbour, parse, tcp
from guest.lab.router import LOST, Router

_TCP = 6
_KNOBS = "net/ipv4/vs"
_CONNTRACK = f"{_KNOBS}/conntrack"
_REMOVAL_SECONDS = 5.0


class _Balanced:
    """A router with a service on port 80 of its client's side, and servers 2 and 3 behind it."""

    def __init__(self, place: Namespace, **knobs: str) -> None:
        self.place = place
        self.router: Router = place.router()
        for name, value in knobs.items():
            place.sysctl(f"{_KNOBS}/{name}", value)
        self.address = neighbour(place.client, 1)
        self.servers = {number: endpoint(neighbour(place.server, number), 8000) for number in (2, 3)}
        with place.inside():
            self.ipvs = Ipvs()
        self.service: Service = self.ipvs.service(_TCP, endpoint(self.address, 80))
        for server in self.servers.values():
            self.service.add(server)

    def send(self, port: int, flags: str = "S", *, seq: int = 1000, ack: int = 0) -> str:
        """A client's segment to the service: the number of the server that gets it, reset if the
        client gets one, or lost.
        """
        source, service = endpoint(self.place.client, port), endpoint(self.address, 80)
        self.router.from_client(tcp(source, service, flags, seq=seq, ack=ack))
        if self.router.out:
            return str(parse(self.router.out[0]).dst)[-1]
        return "reset" if any("R" in str(parse(data)["TCP"].flags) for data in self.router.back) else LOST

    def answer(self, number: int, port: int, flags: str, *, seq: int, ack: int) -> Packet | None:
        """A server's segment to a client: what the client gets."""
        client = endpoint(self.place.client, port)
        self.router.from_server(tcp(self.servers[number], client, flags, seq=seq, ack=ack))
        return parse(self.router.out[0]) if self.router.out else None

    def connections(self) -> list[str]:
        """IPVS's connections, a line each."""
        return self.place.read("/proc/net/ip_vs_conn").splitlines()[1:]

    def connect(self, port: int) -> int:
        """A connection after its handshake: its server's number."""
        number = int(self.send(port))
        self.answer(number, port, "SA", seq=5000, ack=1001)
        self.send(port, "A", seq=1001, ack=5001)
        return number


class IpvsConnections(Facts):
    """Facts of `ipvs-connections`."""

    servers: Annotated[list[str], "the servers of four connections, in turn"]
    source: Annotated[str, "whose address the client sees in the answer: service, server, or lost"]
    flows: Annotated[dict[str, int], "flows in conntrack's table after the four SYNs, and after the answer"]
    drained: Annotated[
        list[str],
        "per conn_reuse_mode: where a closed connection's port goes when its server has weight 0: two SYNs",
    ]
    removed: Annotated[
        list[str],
        "per expire_nodest_conn: where a connection's data goes after its server is removed: two segments,"
        " then a SYN of the same port",
    ]
    error: Annotated[str, "who sees the server's ICMP error, and whose address it quotes"]
    knobs: Annotated[list[str], "settings of IPVS"]


@experiment(variants={"conntrack": ("0", "1"), "family": FAMILIES}, modules=("ip_vs", "ip_vs_rr"))
def ipvs_connections(lab: Lab) -> IpvsConnections:
    """What does IPVS do with connections whose server is drained or removed, and does conntrack see
    them?

    A service of the router itself, translated (NAT) to two servers in turn, with `vs/conntrack` 0
    or 1. A connection is closed by both sides, its server gets weight 0, and the client uses the
    port again, with conn_reuse_mode 0, 1 and 2; with mode 1 and conntrack the first SYN was dropped
    for years, a second of delay for each such connection. Another's server is removed, with
    expire_nodest_conn 0 and 1. Cluster networks and load balancers drain servers in this way.
    """
    conntrack = lab.variant["conntrack"]
    made = _Balanced(lab.new_namespace(), conntrack=conntrack)
    servers = [made.send(port) for port in range(40000, 40004)]
    flows = {"SYNs": len(made.place.flows())}
    answer = made.answer(int(servers[0]), 40000, "SA", seq=5000, ack=1001)
    flows["answer"] = len(made.place.flows())
    return IpvsConnections(
        servers=servers,
        source=LOST if answer is None else "service" if answer.src == made.address else "server",
        flows=flows,
        drained=[f"{mode}: {_drained(lab, mode)}" for mode in ("0", "1", "2")],
        removed=[f"{expire}: {_removed(lab, expire)}" for expire in ("0", "1")],
        error=_error(lab),
        knobs=made.place.sysctl_names(_KNOBS),
    )


def _drained(lab: Lab, mode: str) -> str:
    made = _Balanced(lab.new_namespace(), conntrack=lab.variant["conntrack"], conn_reuse_mode=mode)
    number = made.connect(40000)
    made.send(40000, "FA", seq=1001, ack=5001)
    made.answer(number, 40000, "FA", seq=5001, ack=1002)
    made.send(40000, "A", seq=1002, ack=5002)
    made.service.weigh(made.servers[number], 0)
    names = {str(number): "the drained", str(5 - number): "the other"}
    found = [made.send(40000, seq=1_000_000) for _ in range(2)]
    return ", ".join(names.get(where, where) for where in found)


def _removed(lab: Lab, expire: str) -> str:
    made = _Balanced(lab.new_namespace(), conntrack=lab.variant["conntrack"], expire_nodest_conn=expire)
    number = made.connect(40000)
    made.service.remove(made.servers[number])
    if expire == "1":
        # The kernel removes it a moment later, from a work queue: until then a segment is lost.
        lab.until("the connection to be removed", lambda: not made.connections(), _REMOVAL_SECONDS)
    names = {str(number): "the removed", str(5 - number): "the other"}
    found = [made.send(40000, "PA", seq=1001, ack=5001) for _ in range(2)]
    found.append(made.send(40000, seq=1_000_000))
    return ", ".join(names.get(where, where) for where in found)


def _error(lab: Lab) -> str:
    """A port unreachable of the server about the SYN that it got."""
    from scapy.layers.inet import ICMP
    from scapy.layers.inet6 import ICMPv6DestUnreach

    made = _Balanced(lab.new_namespace(), conntrack=lab.variant["conntrack"])
    made.send(40000)
    syn = parse(made.router.out[0])
    header = ip(syn.dst, lab.client)
    made.router.from_server(
        header / (ICMPv6DestUnreach(code=4) if ":" in syn.dst else ICMP(type=3, code=3)) / bytes(syn)
    )
    if not made.router.out:
        return LOST
    seen = parse(made.router.out[0])
    names = {made.address: "the service", syn.dst: "the server"}
    quoted = parse(bytes(seen.payload)[8:])
    return f"from {names.get(seen.src, 'another')} about {names.get(quoted.dst, 'another')}"
