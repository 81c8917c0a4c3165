"""Uses the lab on the kernel of this machine and prints the results; started by test_lab.py
in namespaces of its own.
"""

from __future__ import annotations

import json
import socket
import sys
from types import SimpleNamespace
from typing import Any

from guest.errors import Unsupported
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.netns import Netns
from guest.lab.packets import parse, udp
from guest.lab.tun import Tun

TTL = "net/ipv4/ip_default_ttl"


def host(lab: Lab) -> dict[str, Any]:
    """A datagram for a closed port of the host."""
    wire = lab.host()
    wire.send(udp("198.18.0.2:10000", "192.0.2.1:53"))
    (answer,) = [parse(data) for data in wire.read()]
    wire.flood([bytes(udp("198.18.0.2:10000", "192.0.2.1:53"))] * 5)
    return {
        "answer": [answer.src, answer.dst, answer["ICMP"].type, answer["ICMP"].code],
        "received": lab.links.counts("tun0").received,
        "handed": wire.handed,
        "captured": "capture.pcap" in lab.journal.evidence(),
    }


def router(lab: Lab, family: Family) -> dict[str, Any]:
    """A datagram each way through a router, and one whose time is up."""
    made = lab.new_namespace().router(family=family, states=False)
    if family is Family.IPV6:
        there, back = (
            udp("[2001:db8:1::2]:1", "[2001:db8:2::2]:2"),
            udp("[2001:db8:2::2]:2", "[2001:db8:1::2]:1"),
        )
        expired = there.copy()
        expired.hlim = 1
    else:
        there, back = udp("10.0.1.2:1", "10.0.2.2:2"), udp("10.0.2.2:2", "10.0.1.2:1")
        expired = there.copy()
        expired.ttl = 1
    states = [made.from_client(there), len(made.out), made.from_server(back), len(made.out)]
    dropped = made.from_client(expired)
    return {"states": states, "expired": dropped, "told": len(made.back)}


def sysctls(lab: Lab) -> dict[str, Any]:
    """Values set in two namespaces, and what the kernel refuses."""
    other = lab.new_namespace()
    lab.sysctl(TTL, 33)
    found: dict[str, Any] = {"here": lab.read_sysctl(TTL), "there": other.read_sysctl(TTL)}
    other.sysctl(TTL, 44)
    found |= {"after": [lab.read_sysctl(TTL), other.read_sysctl(TTL)], "refused": lab.try_sysctl(TTL, "many")}
    found["names"] = "ip_default_ttl" in other.sysctl_names("net/ipv4")
    try:
        lab.sysctl("net/ipv4/no_such_knob", 1)
    except Unsupported as refusal:
        found["missing"] = str(refusal)
    return found


def namespaces(lab: Lab) -> dict[str, Any]:
    """The same topology twice: each namespace has its own tun0."""
    places = [lab.new_namespace(), lab.new_namespace()]
    wires = [place.host() for place in places]
    wires[0].send(udp("198.18.0.2:10000", "192.0.2.1:53"))
    answers = [len(wire.read()) for wire in wires]
    counts = [place.links.counts("tun0").received for place in places]
    for wire, place in zip(wires, places, strict=True):
        wire.close()
        place.close()
    return {"answers": answers, "counts": counts, "links_here": "tun0" in lab.read("/proc/net/dev")}


def waiting(lab: Lab) -> dict[str, Any]:
    """Conditions that come true, and one that does not."""
    tries = iter(range(10))
    true = lab.until("the third look", lambda: next(tries) == 3, 5)
    false = lab.until("the impossible", lambda: False, 0.05)
    return {"true": true, "false": false, "notes": lab.journal.evidence()["notes.txt"]["text"]}


def soon(lab: Lab) -> list[str]:
    """Conditions that hold at once, at the third look, and never."""
    tries = iter(range(10))
    return [
        lab.when("true", lambda: True),
        lab.when("the third look", lambda: next(tries) == 2),
        lab.when("the impossible", lambda: False),
    ]


def ethernet(lab: Lab) -> dict[str, Any]:
    """A datagram to a neighbour on a tap, whose hardware address the kernel was told."""
    place = lab.new_namespace()
    place.host()
    with place.inside():
        tap = Tun("tap0", place.journal.packet, tap=True)
        place.links.address("tap0", "10.0.1.1/24")
        place.links.up("tap0")
        place.links.neighbour("tap0", "10.0.1.2", b"\2\0\0\0\0\2")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"data", ("10.0.1.2", 9))
    frames = [frame for frame in tap.read() if frame[12:14] == b"\x08\x00" and frame[23] == 17]
    own = place.links.hardware("tap0")
    return {"to": [frame[:6].hex() for frame in frames], "from_own": [frame[6:12] == own for frame in frames]}


def new_lab(control: str) -> Lab:
    """A lab in a new namespace, of which nothing asks root."""
    root: Any = SimpleNamespace(write=lambda path, value: None)
    return Lab(Netns().new(), root, {"control": control})


def controls() -> dict[str, Any]:
    """Datagrams, sysctls, rules and waiting under controls that need no rules of their own."""
    found: dict[str, Any] = {}
    for name in ("none", "twice", "late", "every-second"):
        lab = new_lab(name)
        wire = lab.host()
        wire.send(*[udp("198.18.0.2:10000", "192.0.2.1:53")] * 3)
        wire.flood([bytes(udp("198.18.0.2:10000", "192.0.2.1:53"))])
        found[name] = [lab.links.counts("tun0").received, wire.handed]
    lab = new_lab("damaged")
    wire = lab.host()
    wire.send(udp("198.18.0.2:10000", "192.0.2.1:53", data=b"a"))
    found["damaged"] = [lab.links.counts("tun0").received, len(wire.read())]
    for name in ("deaf", "garbled"):
        lab = new_lab(name)
        wire = lab.host()
        for _ in range(2):
            wire.send(udp("198.18.0.2:10000", "192.0.2.1:53", data=b"a"))
        found[name] = [data[-1:].decode() for data in wire.read()]  # an ICMP error quotes the datagram
    lab = new_lab("no-settings")
    lab.sysctl(TTL, 33)
    lab.sysctl("net/netfilter/no_such_knob", 1)
    found["no-settings"] = [lab.try_sysctl("net/netfilter/no_such_knob", 1), lab.read_sysctl(TTL)]
    lab = new_lab("no-rules")
    lab.nft("this is no rule")
    lab.chain("forward filter", "neither is this").replace("nor this")
    lab.iptables("*filter\n-A nothing")
    rules = ["-A INPUT -j ACCEPT", "-A INPUT -j DROP"]
    for name in ("none", "no-first-rule", "only-first-rule", "no-rules"):
        lab = new_lab(name)
        found[f"rules of {name}"] = [lab._loaded(rules), lab._loaded(["third"])]
    lab = new_lab("hasty")
    lab.pause(3600)
    found["hasty"] = [lab.until("never", lambda: False, 3600), lab.when("never", lambda: False)]
    return found


def main() -> None:
    """Prints one JSON document."""
    lab = new_lab("none")
    found = {
        "host": host(lab), "router": router(lab, Family.IPV4), "router6": router(lab, Family.IPV6),
        "sysctls": sysctls(lab), "namespaces": namespaces(lab), "waiting": waiting(lab), "soon": soon(lab),
        "ethernet": ethernet(lab), "controls": controls(),
    }  # fmt: skip
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
