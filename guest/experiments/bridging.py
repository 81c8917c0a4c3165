"""Bridges: tracking what is switched and not routed."""

from __future__ import annotations

from guest.catalogue import Fact, Facts, Invariant, experiment
from guest.lab import Lab
from guest.lab.packets import Packet, tcp, udp
from guest.lab.tun import Tun

_ONE, _OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
_CALL = "net/bridge/bridge-nf-call-iptables"


def _frame(packet: Packet, *, back: bool = False) -> Packet:
    from scapy.layers.l2 import Ether

    source, destination = (_OTHER, _ONE) if back else (_ONE, _OTHER)
    return Ether(src=source, dst=destination, type=0x0800) / packet


def _handshake(one: Tun, other: Tun) -> list[int]:
    """How many frames came out of the far side for each of SYN, SYN+ACK and ACK."""
    passed = []
    for near, far, packet, back in (
        (one, other, tcp("10.0.0.1:40000", "10.0.0.2:80", "S"), False),
        (other, one, tcp("10.0.0.2:80", "10.0.0.1:40000", "SA", seq=5000, ack=1001), True),
        (one, other, tcp("10.0.0.1:40000", "10.0.0.2:80", "A", seq=1001, ack=5001), False),
    ):
        far.read()
        near.send(_frame(packet, back=back))
        passed.append(len(far.read()))
    return passed


_BRIDGE_RULES = """
    table bridge look {
        chain f { type filter hook forward priority 0;
            ct state new counter comment "NEW";
            ct state established counter comment "ESTABLISHED";
            ct state invalid counter comment "INVALID"; };
    }
"""


@experiment(
    facts=[
        Fact("without_rule", int, "flows after a handshake over a bridge without rules"),
        Fact("flows", int, "flows after it with rules in the bridge family that match on ct state"),
        Fact("state", str, "the entry's TCP state"),
        Fact("states", dict, "frames counted in each conntrack state"),
        Fact("passed", list, "frames that came out for SYN, SYN+ACK and ACK"),
        Fact("fragments", list, "frames that came out for each of two fragments"),
        Fact("fragments_sizes", str, "whether the fragments come out as they came"),
        Fact("vlan_flow", bool, "whether a SYN inside a VLAN tag is tracked"),
    ],
    modules=("nf_conntrack_bridge",),
    invariants=[Invariant("without a rule a bridge tracks nothing", lambda facts, variant: facts["without_rule"] == 0)],
)
def bridge_conntrack(lab: Lab) -> Facts:
    """Does a bridge track connections by rules of its own, and what of fragments and VLANs?

    A handshake between two ports of a bridge without an address, without rules and with rules of the bridge family (nf_conntrack_bridge);
    then a UDP datagram in two fragments, and a SYN in VLAN 5.
    """
    from scapy.layers.inet import fragment
    from scapy.layers.l2 import Dot1Q, Ether

    plain = lab.another()
    _handshake(*plain.bridge())
    facts: Facts = {"without_rule": plain.conntrack.count()}
    one, other = lab.bridge()
    lab.nft(_BRIDGE_RULES)
    facts["passed"] = [str(number) for number in _handshake(one, other)]
    flows = lab.flows()
    facts |= {"flows": len(flows), "state": flows[0].state if flows else "none"}
    counters = lab.counters()
    facts["states"] = {state: counters.packets(state) for state in ("NEW", "ESTABLISHED", "INVALID")}
    datagram = udp("10.0.0.1:5000", "10.0.0.2:53", b"x" * 1000)
    pieces = fragment(datagram, fragsize=600)
    out: list[bytes] = []
    facts["fragments"] = []
    for piece in pieces:
        other.read()
        one.send(_frame(piece))
        came = other.read()
        out += came
        facts["fragments"].append(str(len(came)))
    same = [len(data) for data in out] == [len(_frame(piece)) for piece in pieces]
    facts["fragments_sizes"] = "as they came" if same else "other"
    one.send(Ether(src=_ONE, dst=_OTHER) / Dot1Q(vlan=5) / tcp("10.0.0.1:40001", "10.0.0.2:80"))
    return facts | {"vlan_flow": lab.flow("10.0.0.1:40001") is not None}


@experiment(
    facts=[
        Fact("default", str, "bridge-nf-call-iptables in a fresh namespace once br_netfilter is loaded"),
        Fact("bridged", dict, "packets that iptables' FORWARD counts for a bridged handshake, by the value of the sysctl"),
        Fact("flows", dict, "flows it leaves, by the value of the sysctl"),
        Fact("per_namespace", bool, "whether the sysctl may be set in a namespace"),
    ],
    variants={"frontend": ("legacy", "nft")},
    modules=("br_netfilter",),
    invariants=[
        Invariant("switched off, bridged packets are none of iptables' business", lambda facts, variant: facts["bridged"]["0"] == 0)
    ],
)
def br_netfilter(lab: Lab) -> Facts:
    """Does iptables see packets that are only bridged, once br_netfilter is loaded?

    A handshake between two ports of a bridge, a counting rule that matches on conntrack state in iptables' FORWARD, with
    bridge-nf-call-iptables at 1 and at 0. Container hosts load the module; then iptables rules meant for routing apply to switched
    traffic too.
    """
    facts: Facts = {"default": lab.read_sysctl(_CALL), "bridged": {}, "flows": {}, "per_namespace": True}
    for value in ("1", "0"):
        place = lab.another()
        facts["per_namespace"] &= place.try_sysctl(_CALL, value) == "ok"
        one, other = place.bridge()
        place.iptables("*filter\n-A FORWARD -m conntrack --ctstate NEW,ESTABLISHED -m comment --comment seen")
        _handshake(one, other)
        facts["bridged"][value] = place.counters().packets("seen")
        facts["flows"][value] = len(place.flows())
    return facts
