"""Queues and races: what happens to the second packet of a flow that is not yet in the table."""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab.lab import Lab
from guest.lab.packets import Packet, echo, parse, protocol, tcp, udp
from guest.lab.tun import Tun


def _firsts() -> dict[str, Packet]:
    from scapy.layers.inet import IP
    from scapy.layers.sctp import SCTP, SCTPChunkInit

    init = SCTPChunkInit(init_tag=77, a_rwnd=65535, n_out_streams=1, n_in_streams=1, init_tsn=1)
    return {
        "udp": udp("10.0.1.2:5000", "10.0.2.2:53"),
        "tcp": tcp("10.0.1.2:5000", "10.0.2.2:53"),
        "icmp": echo("10.0.1.2", "10.0.2.2"),
        "sctp": IP(src="10.0.1.2", dst="10.0.2.2") / SCTP(sport=5000, dport=53, tag=0) / init,
        "gre": protocol("10.0.1.2", "10.0.2.2", 47, b"\0\0\x08\0" + bytes(20)),
        "other": protocol("10.0.1.2", "10.0.2.2", 253, b"data"),
    }


_DNAT = "ip daddr 10.0.2.2 dnat to numgen inc mod 2 map { 0 : 10.0.2.2, 1 : 10.0.2.3 }"


class NfqueueClash(Facts):
    """Facts of `nfqueue-clash`."""

    forwarded: Annotated[dict[str, int], "per protocol: how many of the two packets came out"]
    backends: Annotated[dict[str, int], "per protocol: to how many addresses those went"]
    flows: Annotated[dict[str, int], "per protocol: flows in the table afterwards"]
    counted: Annotated[dict[str, int], "per protocol: packets that these flows count in their own direction"]
    clash_resolve: Annotated[dict[str, int], "per protocol: clashes that the statistics count as resolved"]
    insert_failed: Annotated[dict[str, int], "per protocol: failed insertions"]
    drop: Annotated[dict[str, int], "per protocol: packets dropped"]


@experiment(
    variants={"nat": ("none", "dnat")},
    modules=("nft_queue", "nfnetlink_queue", "nft_numgen"),
)
def nfqueue_clash(lab: Lab) -> NfqueueClash:
    """Are two first packets of one flow, released together, both delivered, or is one dropped?

    Two identical packets wait in an NFQUEUE in FORWARD, each with its own unconfirmed entry; then
    both are accepted. The second finds that the first has taken its place in the table. `dnat`
    sends the two to different backends before. It is the race of a resolver that asks for A and
    AAAA at once over one socket: the five-second DNS delay.
    """
    names = ("forwarded", "backends", "flows", "counted", "clash_resolve", "insert_failed", "drop")
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    for name, first in _firsts().items():
        place = lab.new_namespace()
        router = place.router()
        place.sysctl("net/netfilter/nf_conntrack_acct", 1)
        place.chain("forward filter", "ct state new queue num 0")
        if lab.variant["nat"] == "dnat":
            place.chain("prerouting nat", _DNAT)
        queue = place.queue(0)
        router.from_client(first)
        router.from_client(first)
        for packet in queue.waiting(2):
            queue.accept(packet)
        out: list[bytes] = []

        def both(out: list[bytes] = out, server: Tun = router.server) -> bool:
            out += server.read()
            return len(out) == 2

        lab.until(f"both {name} packets to come out", both, 1)
        statistics = place.statistics()
        found["forwarded"][name] = len(out)
        found["backends"][name] = len({parse(data).dst for data in out})
        flows = place.flows()
        found["flows"][name] = len(flows)
        found["counted"][name] = sum(flow.packets[0] for flow in flows if flow.packets)
        for counter in names[4:]:
            found[counter][name] = statistics.get(counter, 0)
        queue.close()
    return NfqueueClash(**found)
