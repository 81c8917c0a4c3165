"""Discovery: questions to everybody, whose answers come from addresses that were not asked."""

from __future__ import annotations

import socket
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import endpoint, udp
from guest.lab.rules import tool
from guest.lab.tun import Tun

_OWN, _EVERYBODY = "192.0.2.1", "192.0.2.255"
_QUESTIONS = {"ssdp": ("239.255.255.250", 1900), "netbios": (_EVERYBODY, 137), "snmp": (_EVERYBODY, 161)}
_STATES = ("new", "established", "related", "invalid")
_BY = {
    "nothing": "",
    "helper": 'udp dport 137 ct helper set "names"; udp dport 161 ct helper set "snmp";',
    "expectation": 'udp dport { 137, 161, 1900 } ct expectation set "answers";',
}
_OBJECTS = """
    ct helper names { type "netbios-ns" protocol udp; }
    ct helper snmp { type "snmp" protocol udp; }
    ct expectation answers { protocol udp; dport 40000; timeout 10s; size 8; l3proto ip; }
"""


class MulticastAnswer(Facts):
    """Facts of `multicast-answer`."""

    answers: Annotated[
        list[str],
        "per question and rules: conntrack state of answers: of two hosts from the port asked, of one from"
        " another port",
    ]
    expectations: Annotated[dict[str, int], "expectations after the question"]


@experiment(modules=("nf_conntrack_netbios_ns", "nf_conntrack_snmp"))
def multicast_answer(lab: Lab) -> MulticastAnswer:
    """Is the answer of one host to a question to everybody let in as an answer?

    A local program asks 239.255.255.250:1900 (SSDP), and the network's broadcast address at 137
    (NetBIOS) and 161 (SNMP), from port 40000; two hosts answer from their own addresses, from the
    port asked, and the second one from another port. Rules: nothing, the helpers netbios-ns and
    snmp, an nft `ct expectation` for port 40000. What is NEW is lost behind a host's firewall.
    """
    answers, expectations = [], {}
    for by, rules in _BY.items():
        for name, (address, port) in _QUESTIONS.items():
            place = lab.new_namespace()
            wire = _host(place, rules)
            with place.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
                program.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                program.bind((_OWN, 40000))
                program.sendto(b"who?", (address, port))
                expectations[f"{by} {name}"] = len(place.conntrack.expectations())
                sources = (endpoint("192.0.2.7", port), endpoint("192.0.2.8", port), "192.0.2.8:40001")
                states = [_answered(place, wire, source) for source in sources]
            answers.append(f"{by} {name}: {', '.join(states)}")
    return MulticastAnswer(answers=answers, expectations=expectations)


def _host(place: Namespace, rules: str) -> Tun:
    """tun0 with an address and the broadcast address of its network, and rules for what leaves."""
    place.sysctl("net/ipv6/conf/all/disable_ipv6", 1)
    place.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
    wire = place.device("tun0")
    with place.inside():
        lines = f"link set tun0 up\naddress add {_OWN}/24 brd + dev tun0\nroute add 224.0.0.0/4 dev tun0\n"
        tool("ip", "-batch", "-", text=lines)
    counted = "; ".join(f'ct state {state} counter comment "{state}"' for state in _STATES)
    place.nft(f"""
        table ip t {{
            {_OBJECTS}
            chain out {{ type filter hook output priority 0; {rules} }}
            chain in {{ type filter hook input priority 0; {counted}; }}
        }}
    """)
    return wire


def _answered(place: Namespace, wire: Tun, source: str) -> str:
    """The conntrack state with which an answer comes in."""
    before = place.counters()
    wire.send(udp(source, f"{_OWN}:40000"))
    after = place.counters()
    return " ".join(state for state in _STATES if after.packets(state) > before.packets(state)) or "not seen"
