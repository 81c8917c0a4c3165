"""Masquerading: what becomes of flows when the address they use goes."""

from __future__ import annotations

from guest.catalogue import Fact, Facts, Invariant, experiment
from guest.lab import Lab
from guest.lab.packets import udp
from guest.lab.rules import tool

_FRONTENDS = ("legacy", "nft", "native")
_NATIVE = """
    table ip nat {
        chain post {
            type nat hook postrouting priority 100
            udp dport 9 snat to 10.0.2.1
            udp dport 53 masquerade
        }
    }
"""
_IPTABLES = "*nat\n-A POSTROUTING -p udp --dport 9 -j SNAT --to-source 10.0.2.1\n-A POSTROUTING -p udp --dport 53 -j MASQUERADE"


@experiment(
    facts=[
        Fact("masqueraded", int, "masqueraded flows before"),
        Fact("after_unrelated", int, "masqueraded flows once another address of the interface is gone"),
        Fact("after_address", int, "masqueraded flows once the address they use is gone"),
        Fact("snat_after_address", int, "flows with a fixed SNAT to that same address then"),
        Fact("after_down", int, "masqueraded flows, of three made anew, once the interface is down"),
        Fact("snat_after_down", int, "flows with a fixed SNAT then"),
    ],
    invariants=[
        Invariant("masqueraded flows do not outlive their address or interface", lambda facts, variant: facts["after_down"] == 0),
        Invariant("SNAT to a fixed address outlives both", lambda facts, variant: facts["snat_after_down"] == 1),
    ],
    variants={"frontend": _FRONTENDS},
)
def masquerade_address_gone(lab: Lab) -> Facts:
    """Do masqueraded flows end when their interface loses its address or goes down?

    Three masqueraded flows and one with a fixed SNAT leave through an interface with two addresses. The second address is removed, then the
    one in use, then the interface goes down. A dial-up line with a new address must not go on with old mappings.
    """
    router = lab.router(states=False)
    lab.links.address("tun1", "10.0.2.77/24")
    if lab.frontend == "native":
        lab.nft(_NATIVE)
    else:
        lab.iptables(_IPTABLES)

    def send() -> None:
        for port in range(40000, 40003):
            router.from_client(udp(f"10.0.1.2:{port}", "10.0.2.2:53"))

    def left(port: int, expected: int) -> int:
        # Entries go in the background: give them time, and those that stay the time to go wrongly.
        count = -1

        def same() -> bool:
            nonlocal count
            count = sum(flow.orig.dport == port for flow in lab.flows())
            return count == expected

        lab.until(f"{expected} flows to port {port}", same, 2)
        return count

    send()
    router.from_client(udp("10.0.1.2:40000", "10.0.2.2:9"))
    facts: Facts = {"masqueraded": left(53, 3)}
    tool("ip", "address", "del", "10.0.2.77/24", "dev", "tun1")
    facts["after_unrelated"] = left(53, 0)
    tool("ip", "address", "del", "10.0.2.1/24", "dev", "tun1")
    facts |= {"after_address": left(53, 0), "snat_after_address": left(9, 1)}
    lab.links.address("tun1", "10.0.2.1/24")
    send()
    tool("ip", "link", "set", "tun1", "down")
    return facts | {"after_down": left(53, 0), "snat_after_down": left(9, 1)}
