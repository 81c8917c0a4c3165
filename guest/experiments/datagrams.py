"""Datagrams of local programs: whether and how big ones leave."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.packets import joined
from guest.linux import errno_name

_SIZE = 3000
_DATA = bytes(range(250)) * (_SIZE // 250)
_DISCOVER = {Family.IPV4: (socket.IPPROTO_IP, 10), Family.IPV6: (socket.IPPROTO_IPV6, 23)}
_DONTFRAG = (socket.IPPROTO_IPV6, 62)
_EXPERIMENTAL = 253


class BigDatagram(Facts):
    """Facts of `big-datagram`."""

    sent: Annotated[list[str], "per socket: what the kernel says to the program: ok or an errno"]
    pieces: Annotated[dict[str, int], "per socket: packets that left"]
    broken: Annotated[list[str], "sockets whose packets do not make up the datagram"]
    flows: Annotated[int, "flows in the table afterwards, all datagrams of a protocol having the same ports"]


@experiment(variants={"track": ("none", "conntrack"), "family": FAMILIES})
def big_datagram(lab: Lab) -> BigDatagram:
    """Does a local program's big datagram leave in fragments, and which option forbids that?

    3000 bytes to a machine behind the gateway, MTU 1500: by UDP as it is, with each value of
    IP_MTU_DISCOVER or IPV6_MTU_DISCOVER (dont, want, do, probe), with IPV6_DONTFRAG set and unset,
    in two writes that are put together (MSG_MORE), by a raw socket and by a ping socket. With
    `track=conntrack` what leaves is put together and taken apart once more. DNS, tunnels and
    monitoring fail where the answer is EMSGSIZE.
    """
    wire = lab.host()
    if lab.variant["track"] == "conntrack":
        lab.track()
    lab.sysctl("net/ipv4/ping_group_range", "0 0")
    sent, pieces, broken = [], {}, []
    for name, program in _programs(lab).items():
        wire.read()
        with lab.inside():
            try:
                program()
                said = "ok"
            except OSError as error:
                said = errno_name(error)
        packets = wire.read()
        sent.append(f"{name}: {said}")
        pieces[name] = len(packets)
        if packets and not joined(packets).endswith(_DATA):
            broken.append(name)
    return BigDatagram(sent=sent, pieces=pieces, broken=broken, flows=len(lab.flows()))


def _programs(lab: Lab) -> dict[str, Callable[[], None]]:
    """What sends the datagram, by the name of its socket."""
    level, discover = _DISCOVER[lab.family]
    settings: dict[str, tuple[int, int, int] | None] = {"udp": None}
    settings |= {
        f"udp {word}": (level, discover, value) for value, word in enumerate(("dont", "want", "do", "probe"))
    }
    if lab.family is Family.IPV6:
        settings |= {"udp dontfrag": (*_DONTFRAG, 1), "udp no dontfrag": (*_DONTFRAG, 0)}
    programs: dict[str, Callable[[], None]] = {
        name: lambda setting=setting: _send(lab, socket.SOCK_DGRAM, 0, [_DATA], setting)  # type: ignore[misc]
        for name, setting in settings.items()
    }
    ping = socket.IPPROTO_ICMPV6 if lab.family is Family.IPV6 else socket.IPPROTO_ICMP
    request = struct.pack(">BBHHH", 128 if lab.family is Family.IPV6 else 8, 0, 0, 0, 1)
    return programs | {
        "udp corked": lambda: _send(lab, socket.SOCK_DGRAM, 0, [_DATA[:1500], _DATA[1500:]], None),
        "raw": lambda: _send(lab, socket.SOCK_RAW, _EXPERIMENTAL, [_DATA], None),
        "ping": lambda: _send(lab, socket.SOCK_DGRAM, ping, [request + _DATA], None),
    }


def _send(
    lab: Lab, kind: int, protocol: int, parts: list[bytes], setting: tuple[int, int, int] | None
) -> None:
    with socket.socket(lab.family.af, kind, protocol) as sender:
        if setting:
            sender.setsockopt(*setting)
        if kind == socket.SOCK_DGRAM:
            sender.bind(("", 40000))
        target = (lab.distant, 0 if kind == socket.SOCK_RAW else 9)
        for part in parts[:-1]:
            sender.sendto(part, socket.MSG_MORE, target)
        sender.sendto(parts[-1], target)
