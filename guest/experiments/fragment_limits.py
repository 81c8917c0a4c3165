"""The memory that a namespace gives to fragments."""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.packets import endpoint, ip, udp
from guest.lab.router import Router

_DATAGRAMS, _SIZE = 60, 1232
_LOW, _HIGH = 49_152, 65_536
_KNOBS = {Family.IPV4: "net/ipv4/ipfrag", Family.IPV6: "net/netfilter/nf_conntrack_frag6"}


class FragmentLimits(Facts):
    """Facts of `fragment-limits`."""

    writes: Annotated[list[str], "setting a high threshold below the low one, a low one, and the high one"]
    forwarded: Annotated[list[str], "datagrams that left, by default and with the limit: all, some, or none"]
    counters: Annotated[list[str], "counters of reassembly that moved with the limit, beside successes"]


@experiment(variants={"family": FAMILIES})
def fragment_limits(lab: Lab) -> FragmentLimits:
    """What happens beyond the memory that a namespace gives to fragments, and which counter tells?

    The first fragments of 60 datagrams of 2.4 kB, then the second ones, through a router that
    tracks; with the default thresholds, and with 64 KiB (net.ipv4.ipfrag_high_thresh,
    net.netfilter.nf_conntrack_frag6_high_thresh). Large DNS answers and tunnels come in fragments.
    """
    router = lab.router(states=False)
    lab.track()
    forwarded = [f"default: {_forwarded(router, 1)}"]
    knob = _KNOBS[lab.family]
    writes = [
        f"high alone: {lab.try_sysctl(f'{knob}_high_thresh', _HIGH)}",
        f"low: {lab.try_sysctl(f'{knob}_low_thresh', _LOW)}",
        f"high: {lab.try_sysctl(f'{knob}_high_thresh', _HIGH)}",
    ]
    before = _reassembly(lab)
    forwarded.append(f"limited: {_forwarded(router, 1000)}")
    moved = [name for name, value in _reassembly(lab).items() if value != before[name] and "OKs" not in name]
    return FragmentLimits(writes=writes, forwarded=forwarded, counters=sorted(moved))


def _reassembly(lab: Lab) -> dict[str, int]:
    found = lab.netstat()
    found |= {words[0]: int(words[1]) for words in map(str.split, lab.read("/proc/net/snmp6").splitlines())}
    return {name: value for name, value in found.items() if "Reasm" in name}


def _forwarded(router: Router, first: int) -> str:
    halves = [_halves(router, first + number) for number in range(_DATAGRAMS)]
    router.client.flood([one for one, _ in halves])
    router.client.flood([other for _, other in halves])
    left = len(router.server.read())
    return "none" if not left else "all" if left == 2 * _DATAGRAMS else "some"


def _halves(router: Router, identifier: int) -> tuple[bytes, bytes]:
    """The two fragments of a datagram."""
    client, server = router.client_address, router.server_address
    datagram = udp(endpoint(client, 40000), endpoint(server, 53), bytes(2 * _SIZE - 8))
    whole = bytes(datagram)[router.family.header :]
    header = ip(client, server)
    if router.family is Family.IPV6:
        from scapy.layers.inet6 import IPv6ExtHdrFragment

        one = header / IPv6ExtHdrFragment(nh=17, m=1, id=identifier) / whole[:_SIZE]
        other = header / IPv6ExtHdrFragment(nh=17, offset=_SIZE // 8, id=identifier) / whole[_SIZE:]
        return bytes(one), bytes(other)
    header.proto, header.id, header.flags = 17, identifier, 1
    one = bytes(header / whole[:_SIZE])
    header.flags, header.frag = 0, _SIZE // 8
    return one, bytes(header / whole[_SIZE:])
