"""Bridges: frames between two ports of one bridge, and whether connection tracking sees them."""

from __future__ import annotations

from guest.catalogue import IPTABLES, SCOPES, Fact, FactDict, Invariant, experiment
from guest.lab.ethernet import CLIENT, SERVER, bridge, frame, hardware
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import tcp, udp
from guest.lab.tun import Tun

_STATES = ("new", "established", "invalid")
_SYN = ("10.0.0.1:40000", "10.0.0.2:80")


def _ours(place: Namespace) -> int:
    # Not the IGMP that the kernel sends unasked.
    return sum(flow.orig.source.startswith("10.0.0.") for flow in place.flows())


def _exchange(client: Tun, server: Tun) -> tuple[int, int]:
    """A SYN and its SYN+ACK: how many frames come out at the server and at the client."""
    client.send(frame(tcp(*_SYN)))
    there = _segments(server.read())
    server.send(frame(tcp(_SYN[1], _SYN[0], "SA", ack=1001), SERVER, CLIENT))
    return there, _segments(client.read())


def _segments(frames: list[bytes]) -> int:
    # Ports also send packets of the kernel itself, at any time.
    return sum(frame[12:14] == b"\x08\x00" and frame[23] == 6 for frame in frames)


@experiment(
    facts=[
        Fact("plain", int, "flows without a rule"),
        Fact("counted", int, "flows with a bridge rule that does not mention connection tracking"),
        Fact("with_state", int, "flows with a bridge rule that matches `ct state`"),
        Fact("states", dict, "frames per `ct state` that the bridge forwarded then"),
        Fact("flow_state", str, "the TCP state of the flow"),
        Fact("forwarded", list, "frames that came out, there and back, in each of the three cases"),
    ],
    invariants=[
        Invariant(
            "no flow appears unless a rule asks for states",
            lambda facts, variant: facts["plain"] == facts["counted"] == 0,
        )
    ],
    modules=("bridge", "nf_conntrack_bridge"),
    variants={"scope": SCOPES},
)
def bridge_conntrack(lab: Lab) -> FactDict:
    """Does a bridge track the connections it forwards, without br_netfilter?

    A SYN and its SYN+ACK between two ports of a bridge: with no rule, with a counter in nft's
    bridge family, and with `ct state` there, which needs nf_conntrack_bridge (Linux 5.3).
    Hypervisors filter their guests' traffic this way.
    """
    states = [f"ct state {state} counter comment {state}" for state in _STATES]
    facts: FactDict = {}
    forwarded = []
    for name, rules in (("plain", []), ("counted", ["counter"]), ("with_state", states)):
        place = lab.new_namespace()
        client, server = bridge(place)
        if rules:
            place.chain("forward filter", *rules, family="bridge")
        there, back = _exchange(client, server)
        forwarded.append(f"{name}: {there} {back}")
        facts[name] = _ours(place)
        if name == "with_state":
            counters = place.counters()
            facts["states"] = {state: counters.packets(state) for state in _STATES}
            facts["flow_state"] = place.state(_SYN[0])
    return facts | {"forwarded": forwarded}


@experiment(
    facts=[
        Fact("default", str, "bridge-nf-call-iptables in a fresh namespace, once br_netfilter is loaded"),
        Fact("settable", str, "what the kernel says when the namespace changes it: ok or an errno"),
        Fact("forward_off", int, "bridged packets that iptables' FORWARD counts with the setting 0"),
        Fact("forward_on", int, "and with 1"),
        Fact("flows_off", int, "flows with the setting 0 and a state match in iptables"),
        Fact("flows_on", int, "and with 1"),
    ],
    modules=("bridge", "br_netfilter"),
    variants={"frontend": IPTABLES, "scope": SCOPES},
)
def br_netfilter(lab: Lab) -> FactDict:
    """Does iptables see bridged packets, and who decides that?

    br_netfilter hands bridged IP packets to iptables where bridge-nf-call-iptables is 1. One UDP
    packet crosses a bridge, past a state match in FORWARD, with 0 and with 1. Kubernetes needs 1;
    virtual machine hosts usually want 0.
    """
    setting = "net/bridge/bridge-nf-call-iptables"
    facts: FactDict = {"default": lab.read_sysctl(setting), "settable": lab.try_sysctl(setting, 1)}
    for name, value in (("off", 0), ("on", 1)):
        place = lab.new_namespace()
        client, _ = bridge(place)
        place.try_sysctl(setting, value)
        place.iptables("*filter\n-A FORWARD -m conntrack --ctstate NEW -m comment --comment forward")
        client.send(frame(udp("10.0.0.1:40000", "10.0.0.2:53")))
        facts[f"forward_{name}"] = place.counters().packets("forward")
        facts[f"flows_{name}"] = _ours(place)
    return facts


@experiment(
    facts=[
        Fact("answered", dict, "per packet that a bridge rule rejects: 1 if the sender was answered, else 0"),
        Fact("forwarded", int, "how many of them reached the other port nevertheless"),
    ],
    invariants=[
        Invariant(
            "a rejected datagram is answered",
            lambda facts, variant: facts["answered"]["udp"] == facts["answered"]["udp6"] == 1,
        ),
        Invariant("what is rejected does not pass", lambda facts, variant: facts["forwarded"] == 0),
    ],
    modules=("bridge", "nft_reject_bridge"),
)
def reject_icmp_error(lab: Lab) -> FactDict:
    """Does a bridge's reject answer an ICMP error with another one?

    RFC 1122 forbids to answer an ICMP error with an ICMP error: two machines that do it could talk
    to each other for ever. A rule in nft's bridge family rejects a UDP packet, an echo request and
    a port unreachable, over IPv4 and IPv6.
    """
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoRequest, IPv6

    client, server = bridge(lab)
    lab.chain(
        "prerouting filter",
        "ether type ip reject with icmp type admin-prohibited",
        "ether type ip6 reject with icmpv6 type admin-prohibited",
        family="bridge",
    )
    one, other = "10.0.0.1", "10.0.0.2"
    one6, other6 = "2001:db8::1", "2001:db8::2"
    packets = {
        "udp": udp(f"{one}:40000", f"{other}:53"),
        "echo": IP(src=one, dst=other) / ICMP(type=8, id=7),
        "error": IP(src=one, dst=other) / ICMP(type=3, code=3) / udp(f"{other}:53", f"{one}:40000"),
        "udp6": udp(f"[{one6}]:40000", f"[{other6}]:53"),
        "echo6": IPv6(src=one6, dst=other6) / ICMPv6EchoRequest(id=7),
        "error6": (
            IPv6(src=one6, dst=other6) / ICMPv6DestUnreach(code=4) / udp(f"[{other6}]:53", f"[{one6}]:40000")
        ),
    }
    sender = hardware(CLIENT)
    facts: FactDict = {"answered": {}, "forwarded": 0}
    for name, packet in packets.items():
        client.send(frame(packet))
        facts["answered"][name] = sum(frame[:6] == sender for frame in client.read())
        facts["forwarded"] += sum(frame[6:12] == sender for frame in server.read())
    return facts
