"""A node's DNS cache that is exempt from tracking, and the translated path behind it."""

from __future__ import annotations

import contextlib
import socket
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab.chain import Chain
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import parse, tcp, udp
from guest.lab.router import LOST
from guest.lab.rules import tool

_LINK_LOCAL, _SERVICE, _REMOTE, _CLIENT = "169.254.20.10", "10.96.0.10", "10.0.2.2", "10.0.1.2"
_RULES = (
    (
        "prerouting raw",
        f"ip daddr {{ {_LINK_LOCAL}, {_SERVICE} }} th dport 53 notrack",
    ),
    (
        "output raw",
        f"ip saddr {{ {_LINK_LOCAL}, {_SERVICE} }} th sport 53 notrack",
    ),
)


class DnsCache(Facts):
    """Facts of `dns-cache`."""

    running: Annotated[
        list[str], "who answers a query to the cache's address and to the service's, from which"
    ]
    tracked: Annotated[int, "flows that these queries make"]
    gone: Annotated[str, "who answers a query to the service once the cache is gone, rules and address too"]
    crashed: Annotated[str, "... once it is gone, but its rules and its address are not"]
    rules_left: Annotated[str, "... once it and its address are gone, but its rules are not"]
    again: Annotated[
        list[str],
        "once the cache is back, queries from the port of the translated path: who answers; from where the"
        " remote server's late answer to the query before comes; and who answers the next one",
    ]
    connection: Annotated[
        str, "once the cache is back, what the next segment of a connection of the translated path gets"
    ]
    pair: Annotated[
        list[str], "who answers two queries (A and AAAA) from one port, with and without the cache"
    ]


@experiment()
def dns_cache(lab: Lab) -> DnsCache:
    """What do clients see when a node's DNS cache that is exempt from tracking comes and goes?

    The cache listens on a link-local address and on the service's own, whose packets are NOTRACK in
    PREROUTING and OUTPUT; without it, queries to the service are translated to a remote server, as
    kube-proxy does. It is gone with rules and address, without its rules, or alone; then it comes
    back while entries of the translated path are there. Nodes of Kubernetes with a local DNS cache
    are like that, and lose queries while it restarts.
    """
    node = _Node(lab.new_namespace())
    node.start()
    running = [f"{name}: {node.ask(address, 40000)}" for name, address in _ASKED.items()]
    tracked = len(node.place.flows())
    pair = [f"cache: {_pair(node, 40001)}"]
    node.crash()
    crashed = node.ask(_SERVICE, 40002)
    node.address("del")
    rules_left = node.ask(_SERVICE, 40003)
    node.rules(on=False)
    gone = node.ask(_SERVICE, 40004)
    pair.append(f"remote: {_pair(node, 40005)}")
    again, connection = _again(lab.new_namespace())
    return DnsCache(
        running=running,
        tracked=tracked,
        gone=gone,
        crashed=crashed,
        rules_left=rules_left,
        again=again,
        connection=connection,
        pair=pair,
    )


_ASKED = {"link-local": _LINK_LOCAL, "service": _SERVICE}


def _pair(node: _Node, port: int) -> str:
    return " and ".join(node.ask(_SERVICE, port) for _ in range(2))


class _Node:
    """A node between a client and the remote server, with the service's translation."""

    def __init__(self, place: Namespace) -> None:
        self.place = place
        self.router = place.router(states=False)
        place.chain("prerouting nat", f"ip daddr {_SERVICE} th dport 53 dnat to {_REMOTE}")
        self._sockets: list[socket.socket] = []
        self._chains: list[Chain] = []

    def start(self) -> None:
        """The cache with its addresses and its rules."""
        self.rules(on=True)
        self.address("add")
        with self.place.inside():
            for address in _ASKED.values():
                made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                made.bind((address, 53))
                self._sockets.append(made)

    def crash(self) -> None:
        """Ends the cache's program; its addresses and rules stay."""
        for one in self._sockets:
            one.close()
        self._sockets = []

    def rules(self, *, on: bool) -> None:
        """Loads or deletes the rules that exempt the cache's packets."""
        if on:
            self._chains = [self.place.chain(*rule) for rule in _RULES]
        else:
            for chain in self._chains:
                chain.delete()

    def address(self, verb: str) -> None:
        """Adds or deletes the cache's addresses."""
        lines = [f"address {verb} {address}/32 dev lo\n" for address in _ASKED.values()]
        with self.place.inside():
            tool("ip", "-batch", "-", text="".join(lines))

    def ask(self, address: str, port: int, *, answered: bool = True) -> str:
        """Sends a query from the client: who answers it, and from which address."""
        self.router.from_client(udp(f"{_CLIENT}:{port}", f"{address}:53"))
        back, out = self.router.back, self.router.out
        if out:
            return f"remote, {self.remote(port)}" if answered else "remote"
        for one in self._sockets:
            with contextlib.suppress(BlockingIOError):
                data, whom = one.recvfrom(100)
                one.sendto(data, whom)
                return f"cache, {self._source(self.router.client.read())}"
        return "unreachable" if back else LOST

    def remote(self, port: int) -> str:
        """The remote server's answer to a query from that port: from which address it comes."""
        self.router.from_server(udp(f"{_REMOTE}:53", f"{_CLIENT}:{port}"))
        return self._source(self.router.out)

    def _source(self, packets: list[bytes]) -> str:
        names = {_LINK_LOCAL: "from the link-local", _SERVICE: "from the service", _REMOTE: "from the remote"}
        return names.get(parse(packets[0]).src, "from another") if packets else LOST


def _again(place: Namespace) -> tuple[list[str], str]:
    """The cache is started where there are entries of the translated path."""
    node = _Node(place)
    node.ask(_SERVICE, 40000, answered=False)
    client, server = f"{_CLIENT}:40001", f"{_SERVICE}:53"
    node.router.from_client(tcp(client, server))
    node.router.from_server(tcp(f"{_REMOTE}:53", client, "SA", seq=5000, ack=1001))
    node.router.from_client(tcp(client, server, "A", seq=1001, ack=5001))
    node.start()
    first = node.ask(_SERVICE, 40000)
    again = [first, node.remote(40000), node.ask(_SERVICE, 40000)]
    node.router.from_client(tcp(client, server, "PA", seq=1001, ack=5001, data=b"data"))
    resets = [packet for packet in map(parse, node.router.back) if "R" in str(packet["TCP"].flags)]
    return again, "remote" if node.router.out else "reset" if resets else LOST
