"""Transparent proxying: packets for other machines that a local program gets."""

from __future__ import annotations

import socket
from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import endpoint, parse, tcp, udp
from guest.lab.router import LOST
from guest.lab.rules import tool
from guest.lab.tun import Tun

_TRANSPARENT = {Family.IPV4: (socket.IPPROTO_IP, 19), Family.IPV6: (socket.IPPROTO_IPV6, 75)}
_DEVICES = ("address", "bare", "down and up")
# Per rule: the port that it takes, and the port of the listener that it hands the packet to.
_RULES = {"any": (80, 5000), "explicit": (81, 5001)}
_POLICY = """
    rule add fwmark 1 lookup 100
    route add local default dev lo table 100
    route add default dev tun0
"""


class TproxyBareDevice(Facts):
    """Facts of `tproxy-bare-device`."""

    reaches: Annotated[list[str], "per device, rule and protocol: whom a packet for another machine reaches"]
    by_socket: Annotated[
        dict[str, int], "per device: second packets, of both rules and protocols, that `socket` matches"
    ]


@experiment(
    variants={"frontend": ("nft", "native"), "family": FAMILIES}, modules=("nft_tproxy", "nft_socket")
)
def tproxy_bare_device(lab: Lab) -> TproxyBareDevice:
    """Does TPROXY work on a device that has no address?

    A SYN and a datagram for other machines come in by a tun with an address, by one without any,
    and by one that was set down and up again after it had got one. A rule that names no address
    (any), and one that names the loopback's (explicit), hand them to transparent listeners on every
    address and on the loopback's. Second packets meet a rule for `socket transparent` first.
    Proxies of meshes and of network plugins live on such devices.
    """
    reaches, by_socket = [], {}
    for device in _DEVICES:
        place = lab.new_namespace()
        wire = _device(place, device)
        _load(place)
        for rule in _RULES:
            reaches.append(f"{device}, {rule}, udp: {_datagrams(place, wire, rule)}")
            reaches.append(f"{device}, {rule}, tcp: {_handshake(place, wire, rule)}")
        by_socket[device] = place.counters().packets("second")
    return TproxyBareDevice(reaches=reaches, by_socket=by_socket)


def _device(place: Namespace, device: str) -> Tun:
    """tun0 as it is asked for, and routes: marked packets stay here, all others leave by it."""
    family = place.family
    place.sysctl("net/ipv4/conf/all/rp_filter", 0)
    place.sysctl("net/ipv4/conf/default/rp_filter", 0)
    place.sysctl("net/ipv6/conf/default/addr_gen_mode", 1)
    wire = place.device("tun0")
    if device != "bare":
        place.links.address("tun0", family.interface(1))
    place.links.up("tun0")
    again = "link set tun0 down\nlink set tun0 up\n" if device == "down and up" else ""
    with place.inside():
        tool("ip", "-6" if family is Family.IPV6 else "-4", "-batch", "-", text=again + _POLICY)
    return wire


def _load(place: Namespace) -> None:
    loopback = "::1" if place.family is Family.IPV6 else "127.0.0.1"
    named = {"any": "", "explicit": loopback}
    if place.frontend == "native":
        address = {rule: endpoint(text, 0).removesuffix("0") if text else ":" for rule, text in named.items()}
        place.chain(
            "prerouting mangle",
            'socket transparent 1 counter meta mark set 1 accept comment "second"',
            *(
                f"{protocol} dport {port} tproxy to {address[rule]}{to} meta mark set 1"
                for rule, (port, to) in _RULES.items()
                for protocol in ("udp", "tcp")
            ),
        )
        return
    lines = [
        f"-A PREROUTING -p {protocol} --dport {port} -j TPROXY --on-port {to} --tproxy-mark 1"
        + (f" --on-ip {named[rule]}" if named[rule] else "")
        for rule, (port, to) in _RULES.items()
        for protocol in ("udp", "tcp")
    ]
    first = [
        "-A PREROUTING -m socket --transparent -m comment --comment second -j MARK --set-mark 1",
        "-A PREROUTING -m mark --mark 1 -j ACCEPT",
    ]
    place.iptables("*mangle\n" + "\n".join(first + lines))


def _listener(place: Namespace, kind: int, rule: str) -> socket.socket:
    """A transparent socket on the port to which a rule hands packets."""
    loopback, every = ("::1", "::") if place.family is Family.IPV6 else ("127.0.0.1", "0.0.0.0")
    with place.inside():
        made = socket.socket(place.family.af, kind | socket.SOCK_NONBLOCK)
    made.setsockopt(*_TRANSPARENT[place.family], 1)
    made.bind((loopback if rule == "explicit" else every, _RULES[rule][1]))
    return made


def _datagrams(place: Namespace, wire: Tun, rule: str) -> str:
    """Sends two datagrams: whom the first reaches."""
    asked = udp(endpoint(place.client, 40000), endpoint(place.distant, _RULES[rule][0]))
    with _listener(place, socket.SOCK_DGRAM, rule) as listener:
        wire.send(asked)
        try:
            listener.recv(100)
            found = "listener"
        except BlockingIOError:
            found = LOST
        wire.send(asked)
    return found


def _handshake(place: Namespace, wire: Tun, rule: str) -> str:
    """Sends a SYN and, if it is answered, the ACK: whom the SYN reaches."""
    client, server = endpoint(place.client, 40000), endpoint(place.distant, _RULES[rule][0])
    with _listener(place, socket.SOCK_STREAM, rule) as listener:
        listener.listen()
        wire.read()
        wire.send(tcp(client, server))
        answers = [packet for packet in map(parse, wire.read()) if "TCP" in packet]
        if not answers:
            return LOST
        flags = str(answers[0]["TCP"].flags)
        wire.send(tcp(client, server, "A", seq=1001, ack=answers[0]["TCP"].seq + 1))
    return "listener" if flags == "SA" else f"answered with {flags}"
