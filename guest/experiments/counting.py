"""Limits on the number of connections: connlimit and nft's `ct count`."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable

from guest.catalogue import FRONTENDS, SCOPES, Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import ports, tcp, udp, with_ports
from guest.lab.router import Router

_LIMIT = 3
_SOURCES, _TRAIN = 20, 10
_HOSTS = (2, *range(100, 100 + _SOURCES))


def _limit(place: Namespace, chain: str, interface: str, sources: Iterable[str]) -> None:
    """Drops what comes in from a source with more than three connections."""
    if place.frontend == "native":
        # A rule per source and no dynamic set: the garbage collection of a set, at times that it
        # chooses, would influence what is counted.
        over = f"ct count over {_LIMIT} drop"
        rules = [f"iifname {interface} ip saddr {source} {over}" for source in sources]
        place.chain(f"{chain} filter", *rules)
    else:
        place.iptables(
            f"*filter\n-A {chain.upper()} -i {interface} -m connlimit --connlimit-above {_LIMIT} -j DROP"
        )


def _limited(place: Namespace) -> Router:
    """A router that drops what comes from a client with more than three connections."""
    router = place.router(states=False)
    _limit(place, "forward", "tun0", [f"10.0.1.{host}" for host in _HOSTS])
    return router


def _through(router: Router, packets: list[bytes]) -> int:
    """How many of these packets reach the server when they are sent at once."""
    router.server.read()
    router.client.flood(packets)
    return len(router.server.read())


def _how_often(router: Router, packets: Callable[[str], list[bytes]]) -> str:
    """Whether any of twenty sources loses packets that it sends at once.

    Where a flow counts more than once, it does so only within a tick of the kernel's clock: one
    train might straddle two.
    """
    lost = sum(_TRAIN - _through(router, packets(f"10.0.1.{host}")) for host in _HOSTS[1:])
    return "more than once" if lost else "once"


def _new_after(router: Router, packets: Callable[[str], list[bytes]]) -> str:
    """Whether two more flows of each of five sources pass, of five sent right after its packets."""
    passed = []
    for host in _HOSTS[1:6]:
        new = with_ports(tcp(f"10.0.1.{host}:1", "10.0.2.2:80"), range(41000, 41005))
        router.server.read()
        router.client.flood([*packets(f"10.0.1.{host}"), *new])
        passed.append(sum(41000 <= ports(data)[0] < 41005 for data in router.server.read()))
    return "two" if set(passed) == {_LIMIT - 1} else "fewer" if max(passed) < _LIMIT else "more"


@experiment(
    facts=[
        Fact(
            "udp", str, "how often a UDP flow counts that sends ten packets at once: once, or more than once"
        ),
        Fact("syn", str, "how often a connection counts whose SYN comes ten times at once"),
        Fact("data", str, "how often an established connection counts that sends ten segments at once"),
        Fact(
            "new_after",
            list,
            "per kind of such packets: new connections, of five from the same source that follow them at"
            " once, that pass beside that flow with a limit of three in all: two, or fewer",
        ),
        Fact("after_close", int, "new connections, of five, that pass once all others were reset"),
        Fact(
            "loopback",
            int,
            "UDP flows over the loopback interface, of five, that pass a limit of three in INPUT",
        ),
    ],
    invariants=[
        Invariant(
            "connections that were reset no longer count",
            lambda facts, variant: facts["after_close"] == _LIMIT,
        ),
    ],
    variants={"frontend": FRONTENDS, "scope": SCOPES},
    modules=("xt_connlimit", "nft_connlimit"),
)
def connlimit_train(lab: Lab) -> FactDict:
    """Does a limit on connections count a connection once, however many packets it sends?

    `-m connlimit --connlimit-above 3 -j DROP` (nft: a rule with `ct count over 3` for each source)
    in FORWARD, without any match on the state, as many rule sets have it. A flow that counts more
    than once reaches the limit alone and loses packets. Twenty sources send ten packets each, one
    after the other; each step has a fresh namespace.
    """

    def train(source: str) -> list[bytes]:
        """Ten packets of one flow from a source."""
        if name == "udp":
            return [bytes(udp(f"{source}:40000", "10.0.2.2:53"))] * _TRAIN
        if name == "data":
            _connect(lab, router, source)
            return [
                bytes(tcp(f"{source}:40000", "10.0.2.2:80", "PA", seq=1001, ack=5001, data=b"x" * 100))
            ] * _TRAIN
        return [bytes(tcp(f"{source}:40000", "10.0.2.2:80"))] * _TRAIN

    facts: FactDict = {"new_after": []}
    for name in ("udp", "syn", "data"):
        router = _limited(lab.new_namespace())
        facts[name] = _how_often(router, train)
        router = _limited(lab.new_namespace())
        facts["new_after"].append(f"{name}: {_new_after(router, train)}")
    _connect(lab, router, "10.0.1.2")
    _through(router, with_ports(tcp("10.0.1.2:1", "10.0.2.2:80"), range(41000, 41005)))
    for port in (40000, *range(41000, 41005)):
        router.from_server(
            tcp("10.0.2.2:80", f"10.0.1.2:{port}", "RA", seq=5001 if port == 40000 else 0, ack=1001)
        )
    _pause(lab)
    facts["after_close"] = _through(router, with_ports(tcp("10.0.1.2:1", "10.0.2.2:80"), range(42000, 42005)))
    return facts | {"loopback": _loopback(lab.new_namespace())}


def _connect(lab: Lab, router: Router, source: str) -> None:
    """A connection of a source, with time enough between its packets that each is counted by
    itself.
    """
    client, server = router.tcp_between(f"{source}:40000", "10.0.2.2:80")
    client.syn()
    server.synack()
    _pause(lab)
    client.ack()
    _pause(lab)


def _pause(lab: Lab) -> None:
    """Waits for some ticks of the kernel's clock (4 ms): the kernel checks its list of connections
    at most once per tick.
    """
    end = time.monotonic() + 0.04
    lab.until("some clock ticks to pass", lambda: time.monotonic() > end, 1)


def _loopback(place: Namespace) -> int:
    _limit(place, "input", "lo", ["127.0.0.1"])
    with place.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 5300))
        receiver.settimeout(0.5)
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(5)]
        for sender in senders:
            sender.sendto(b"data", ("127.0.0.1", 5300))
            sender.close()
        passed = 0
        try:
            while receiver.recv(16):
                passed += 1
        except TimeoutError:
            return passed
    return passed


@experiment(
    facts=[
        Fact("first", int, "SYNs of eight, from eight ports, that pass a limit of three"),
        Fact("again", int, "SYNs of the same eight that pass when they are sent again a little later"),
        Fact("third_time", int, "... and once more"),
        Fact("flows", int, "flows in the table then"),
    ],
    invariants=[
        Invariant(
            "three of eight new connections pass a limit of three",
            lambda facts, variant: facts["first"] == facts["flows"] == _LIMIT,
        ),
    ],
    variants={"frontend": FRONTENDS, "scope": SCOPES},
    modules=("xt_connlimit", "nft_connlimit"),
)
def ct_count_syn(lab: Lab) -> FactDict:
    """Do the connections that were let in under a limit stay in when their SYNs are sent again?

    Eight SYNs from eight ports against a limit of three, and the same eight twice more, some ticks
    of the clock apart. SYNs of the three connections that the router knows should pass, the other
    five should not.
    """
    router = _limited(lab)
    syns = with_ports(tcp("10.0.1.2:1", "10.0.2.2:80"), range(40000, 40008))
    facts: FactDict = {}
    for name in ("first", "again", "third_time"):
        facts[name] = _through(router, syns)
        _pause(lab)
    return facts | {"flows": len(lab.flows())}
