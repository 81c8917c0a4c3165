"""The flowtable: forwarding past the rules, and the way back."""

from __future__ import annotations

from guest.catalogue import Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import parse, udp
from guest.lab.router import Router

_RULES = """
    table ip fast {
        flowtable f {
            hook ingress priority 0
            devices = { tun0, tun1 }
        }
        chain forward {
            type filter hook forward priority 0
            counter comment "slow"
            ct state established meta l4proto { tcp, udp } flow add @f
        }
    }
"""


class _Fast:
    """A router with a flowtable, and how many packets have taken the slow path."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.router: Router = lab.router(states=False)
        lab.nft(_RULES)
        self._slow = 0

    def slow(self) -> int:
        """Packets that went through the forward chain since the last call."""
        now = self.lab.counters().packets("slow")
        before, self._slow = self._slow, now
        return now - before

    def offloaded(self, source: str) -> bool:
        """Whether the flow's entry says that it is on the fast path."""
        return "OFFLOAD" in self.lab.flow(source).status

    def entry(self, source: str) -> str:
        """State and timeout of the entry, or `offloaded`: on the fast path an entry has neither."""
        flow = self.lab.flow(source)
        if "OFFLOAD" in flow.status:
            return "offloaded"
        return f"{flow.state + ' ' if flow.state else ''}{flow.lifetime}" if flow else "gone"

    def settled(self, source: str, seconds: float = 12) -> str:
        """State and timeout of the entry once it is off the fast path, or `offloaded` if it stays
        there so long.
        """
        self.lab.until("the flow to leave the fast path", lambda: not self.offloaded(source), seconds)
        return self.entry(source)


_FACTS = (
    Fact("offloaded", bool, "whether the entry is on the fast path after data both ways"),
    Fact("past_rules", bool, "whether data then comes out both ways without being seen by the forward chain"),
    Fact("ttl", int, "the TTL of a packet on the fast path, sent with 64"),
)


@experiment(
    facts=[
        *_FACTS,
        Fact(
            "out_of_window",
            str,
            "where data a million beyond the window goes then: past the rules, through them, or lost",
        ),
        Fact("slow_end", int, "of the segments that end the connection, those the forward chain saw"),
        Fact("at_end", str, "state and timeout of the entry right after the last of them, or offloaded"),
        Fact("entry", str, "state and timeout of the entry once it is off the fast path"),
        Fact("assured", bool, "whether that entry is assured"),
        Fact("reopened", str, "state of the entry of a new connection with the same ports, or offloaded"),
    ],
    invariants=[
        Invariant(
            "data on the fast path skips the rules",
            lambda facts, variant: facts["offloaded"] and facts["past_rules"],
        )
    ],
    variants={"end": ("fin", "both-fins", "rst")},
    modules=("nf_flow_table", "nft_flow_offload", "nf_flow_table_inet"),
)
def flowtable_tcp(lab: Lab) -> FactDict:
    """When does a TCP connection leave the fast path, and what is its entry left with?

    A software flowtable on both interfaces of the router, data both ways, some of it far out of the
    window, then an end: one FIN, both FINs with the last ACK, or a reset. nf_flowtable_tcp_timeout,
    where it exists, is set to 2 s just before. An entry that is left ESTABLISHED stays for days.
    """
    fast = _Fast(lab)
    client, server = fast.router.handshake()
    client.data(100)
    server.data(100)
    client.ack()
    server.ack()
    fast.slow()
    client.data(100)
    facts: FactDict = {"offloaded": fast.offloaded(client.endpoint), "ttl": parse(fast.router.out[0]).ttl}
    server.data(100)
    facts["past_rules"] = bool(fast.router.out) and fast.slow() == 0
    client.data(100, seq=client.seq + 1_000_000)
    out = "through the rules" if fast.slow() else "past the rules"
    facts["out_of_window"] = out if fast.router.out else "lost"
    lab.try_sysctl("net/netfilter/nf_flowtable_tcp_timeout", 2)
    if lab.variant["end"] == "rst":
        server.rst()
    else:
        client.fin()
        server.ack()
        if lab.variant["end"] == "both-fins":
            server.fin()
            client.ack()
    facts |= {"at_end": fast.entry(client.endpoint), "slow_end": fast.slow()}
    facts |= {"entry": fast.settled(client.endpoint), "assured": lab.flow(client.endpoint).assured}
    client.seq += 5_000_000
    server.seq += 5_000_000
    client.syn()
    server.synack()
    client.ack()
    client.data(100)
    return facts | {"reopened": fast.entry(client.endpoint).partition(" ")[0]}


@experiment(
    facts=[
        *_FACTS,
        Fact(
            "timeout_knob",
            str,
            "the sysctl with the flowtable's own timeout as it is found: seconds or absent",
        ),
        Fact("idle", str, "state and timeout of the entry once the idle flow is off the fast path"),
        Fact(
            "back",
            str,
            "where the flow's next packets go once it had left: fast path again, slow path, or never left",
        ),
    ],
    variants={"protocol": ("tcp", "udp")},
    modules=("nf_flow_table", "nft_flow_offload", "nf_flow_table_inet"),
    seconds=120,
)
def flowtable_idle(lab: Lab) -> FactDict:
    """When does an idle flow leave the fast path, and does it come back?

    A flow on the fast path falls silent. nf_flowtable_tcp_timeout and nf_flowtable_udp_timeout,
    where they exist, are set to 2 s; where they do not, thirty seconds are built in and waited for.
    """
    fast = _Fast(lab)
    protocol = lab.variant["protocol"]
    client, server = fast.router.handshake()
    request, answer = udp("10.0.1.2:41000", "10.0.2.2:53"), udp("10.0.2.2:53", "10.0.1.2:41000")

    def exchange() -> None:
        if protocol == "tcp":
            client.data(100)
            server.data(100)
        else:
            fast.router.from_client(request)
            fast.router.from_server(answer)

    source = client.endpoint if protocol == "tcp" else "10.0.1.2:41000"
    for _ in range(3):
        exchange()
    fast.slow()
    exchange()
    facts: FactDict = {
        "offloaded": fast.offloaded(source),
        "ttl": parse(fast.router.out[0]).ttl,
        "past_rules": bool(fast.router.out) and fast.slow() == 0,
    }
    knob = f"nf_flowtable_{protocol}_timeout"
    known = knob in lab.sysctl_names("net/netfilter")
    facts["timeout_knob"] = lab.read_sysctl(f"net/netfilter/{knob}") if known else "absent"
    if known:
        lab.sysctl(f"net/netfilter/{knob}", 2)
    exchange()
    facts["idle"] = fast.settled(source, 60)
    exchange()
    exchange()
    back = "fast path" if fast.offloaded(source) else "slow path"
    return facts | {"back": "never left" if facts["idle"] == "offloaded" else back}
