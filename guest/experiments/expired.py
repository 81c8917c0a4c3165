"""Entries and expectations whose time is over: who removes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

from guest import netlink
from guest.catalogue import Facts, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import tcp, udp, with_ports
from guest.netlink import Netlink
from guest.observe import ctnetlink
from guest.observe.ctnetlink import TUPLE_ORIG, Tuple, pack_tuple

_EXPIRED, _TRIES = 5, 5


class ExpiredEvicted(Facts):
    """Facts of `expired-evicted`."""

    left: Annotated[
        dict[str, int],
        "of five expired flows, those still counted after the table was looked at, by the way of looking",
    ]


@experiment(seconds=120)
def expired_evicted(lab: Lab) -> ExpiredEvicted:
    """Does looking at the table remove flows whose time is over?

    Five UDP flows with a timeout of one second; when it is over they still count, until the garbage
    collection comes round. Before that: nothing, a dump over netlink, /proc/net/nf_conntrack, a
    request for one of the flows, a packet of one of them, and a packet of another flow. Each has a
    fresh namespace, and is tried again if the collection was earlier.
    """
    first = Tuple("198.18.0.2", "192.0.2.1", 17, 10000, 53)
    ways: dict[str, Callable[[Namespace], object]] = {
        "nothing": lambda place: None,
        "dump": lambda place: place.conntrack.flows(),
        "/proc": lambda place: place.read("/proc/net/nf_conntrack"),
        "request": lambda place: _asked(place, first),
    }
    left = {name: _left(lab, look) for name, look in ways.items()}
    for name, port in (("its packet", 10000), ("another packet", 20000)):
        left[name] = _left(lab, None, port)
    return ExpiredEvicted(left=left)


@expired_evicted.invariant("as long as nobody looks they are counted")
def _(facts: ExpiredEvicted) -> bool:
    return facts.left["nothing"] == _EXPIRED


def _asked(place: Namespace, wanted: Tuple) -> None:
    try:
        place.conntrack.request(ctnetlink.GET, pack_tuple(TUPLE_ORIG, wanted), family=2)
    except OSError:
        return


def _left(lab: Lab, look: Callable[[Namespace], object] | None, port: int = 0) -> int:
    """How many of five expired flows are counted after a look, or after a packet from `port`."""
    for _ in range(_TRIES):
        place = lab.new_namespace()
        place.track()
        wire = place.host()
        place.sysctl(sysctls.UDP_TIMEOUT, 1)
        wire.send(*with_ports(udp("198.18.0.2:1", "192.0.2.1:53"), range(10000, 10000 + _EXPIRED)))
        lab.pause(1.3)
        if place.conntrack.count() < _EXPIRED:
            continue  # the garbage collection was earlier
        if look:
            look(place)
            return place.conntrack.count()
        wire.send(udp(f"198.18.0.2:{port}", "192.0.2.1:53"))
        return place.conntrack.count() - 1
    raise RuntimeError(f"the garbage collection took the flows {_TRIES} times before they were looked at")


_EXPECT = """
    table ip policies {
        ct expectation data { protocol tcp; dport 9876; timeout 1s; size 2; l3proto ip; }
        chain pre {
            type filter hook prerouting priority 0
            tcp dport 80 ct state new ct expectation set "data"
        }
    }
"""
_DESTROYED = 0x20
_TIMEOUT = 4


class ExpectationExpiry(Facts):
    """Facts of `expectation-expiry`."""

    seconds: Annotated[
        int, "how many seconds are left, says a dump right after it was made; rounded up to tens"
    ]
    listed: Annotated[int, "expected connections that a dump lists after that second"]
    related: Annotated[str, "conntrack state of the SYN that was expected, after that second"]
    event: Annotated[
        str,
        "when a listener hears that an untouched expectation is gone: within 3 s after its time, or later",
    ]


@experiment(seconds=60)
def expectation_expiry(lab: Lab) -> ExpectationExpiry:
    """How long does a connection stay expected that a rule expects for one second?

    nft's `ct expectation` with `timeout 1s`: a client's connection to port 80 makes one. A dump
    then, and another after that second, and the server's SYN to the expected port; a second
    expectation is left alone until its end is announced. An expectation is a hole in the firewall.
    """
    router = lab.router(_EXPECT)
    router.tcp(40000)[0].syn()
    left = [int.from_bytes(found[_TIMEOUT], "big") for found in lab.conntrack.expectations()]
    lab.journal.note(f"seconds left: {left}")
    lab.pause(1.3)
    listed = len(lab.conntrack.expectations())
    related = router.from_server(tcp("10.0.2.2:5000", "10.0.1.2:9876"))
    with lab.inside():
        listener = Netlink(netlink.NETFILTER, groups=_DESTROYED)
    router.tcp(40001)[0].syn()
    start = time.monotonic()
    heard = any(True for _ in listener.events(4.3))
    lab.journal.note(f"event heard: {heard}, after {time.monotonic() - start:.2f} s")
    return ExpectationExpiry(
        seconds=max(10, -(-max(left) // 10) * 10) if left else 0,
        listed=listed,
        related=related,
        event="within 3 s" if heard else "later",
    )
