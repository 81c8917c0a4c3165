"""ICMPv6 redirects that quote a packet of a flow."""

from __future__ import annotations

import socket
from typing import Annotated, Any

from guest.catalogue import Facts, experiment
from guest.family import Family
from guest.lab.lab import Lab

_STATES = ("untracked", "invalid", "new", "established", "related")
_FAR = "2001:db8:9::9"


class Icmpv6Redirect(Facts):
    """Facts of `icmpv6-redirect`."""

    states: Annotated[list[str], "conntrack state of a redirect, case by case"]


@experiment()
def icmpv6_redirect(lab: Lab) -> Icmpv6Redirect:
    """Does a redirect belong to the flow whose packet it quotes?

    A host sends a UDP packet; its router, fe80::77, answers with redirects (137): one that quotes
    that packet, one that quotes a packet of no flow, one without a quotation, one that has passed a
    router (hop limit 254), and one from an address that is not link-local. A host that accepts only
    RELATED and ESTABLISHED stays with the longer way if they are UNTRACKED or INVALID.
    """
    wire = lab.host(Family.IPV6)
    sort = [f'icmpv6 type nd-redirect ct state {state} counter comment "{state}"' for state in _STATES]
    lab.chain("prerouting filter", *sort, family="ip6")
    with lab.inside(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.bind(("2001:db8:2::1", 40000))
        sender.sendto(b"data", (_FAR, 53))
    (sent,) = [data for data in wire.read() if data[6] == socket.IPPROTO_UDP]
    stranger = bytearray(sent)
    stranger[40:42] = (40001).to_bytes(2, "big")
    states = []
    for name, packet in {
        "of the flow": _redirect(sent),
        "of no flow": _redirect(bytes(stranger)),
        "without quotation": _redirect(b""),
        "hop limit 254": _redirect(sent, limit=254),
        "global source": _redirect(sent, source="2001:db8:2::77"),
    }.items():
        before = lab.counters()
        wire.send(packet)
        now = lab.counters()
        moved = [state.upper() for state in _STATES if now.packets(state) > before.packets(state)]
        states.append(f"{name}: {moved[0] if moved else 'lost'}")
    return Icmpv6Redirect(states=states)


def _redirect(quoted: bytes, source: str = "fe80::77", limit: int = 255) -> Any:
    from scapy.layers.inet6 import ICMPv6ND_Redirect, ICMPv6NDOptRedirectedHdr, IPv6

    header = IPv6(src=source, dst="2001:db8:2::1", hlim=limit)
    redirect = header / ICMPv6ND_Redirect(tgt="fe80::78", dst=_FAR)
    return redirect / ICMPv6NDOptRedirectedHdr(pkt=quoted) if quoted else redirect
