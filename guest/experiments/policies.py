"""Policies that rules attach to entries: explicit timeouts and expectations."""

from __future__ import annotations

from guest.catalogue import FAMILIES, SCOPES, Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import endpoint, neighbour, tcp

_TIMEOUTS = """
    table {ip} policies {{
        ct timeout long-udp {{ protocol udp; l3proto {ip}; policy = {{ unreplied : 250, replied : 280 }}; }}
        ct timeout long-tcp {{ protocol tcp; l3proto {ip}; policy = {{ syn_sent : 250, syn_recv : 280 }}; }}
        chain pre {{
            type filter hook prerouting priority 0;
            udp dport 53 ct timeout set "long-udp"
            tcp dport 80 ct timeout set "long-tcp"
        }}
    }}
"""


@experiment(
    facts=[
        Fact(
            "udp",
            list,
            "UDP with a policy: which timeout applies to one packet, and once it was answered: policy, or"
            " default",
        ),
        Fact("tcp", list, "the same for TCP's SYN and SYN+ACK"),
        Fact("other_port", str, "the same for a UDP packet that the rule does not match"),
        Fact(
            "removed",
            str,
            "when the default timeout applies to the flow's UDP packets again once the rule and the policy"
            " are gone: within 3 s, or later",
        ),
    ],
    invariants=[
        Invariant(
            "a flow without the policy keeps the default",
            lambda facts, variant: facts["other_port"] == "default",
        )
    ],
    variants={"family": FAMILIES, "scope": SCOPES},
    cpus=2,
)
def ct_timeout_policy(lab: Lab) -> FactDict:
    """Can a rule set the timeouts of some flows, also in an unprivileged container?

    nft's `ct timeout` objects with 250 s and 280 s where the defaults are at most 120 s, assigned
    in prerouting to port 53 and port 80. TCP's timeouts of more than 300 s would not show before an
    ACK: until then nf_conntrack_tcp_timeout_unacknowledged limits them.
    """
    router = lab.router(states=False)
    lab.nft(_TIMEOUTS.format(ip=lab.ip))

    def applies(source: str) -> str:
        flow = lab.flow(source)
        return "gone" if not flow else "policy" if flow.timeout > 180 else "default"

    facts: FactDict = {"udp": [], "tcp": []}
    client = endpoint(router.client_address, 40000)
    question, answer = router.udp()
    router.from_client(question)
    facts["udp"].append(applies(client))
    router.from_server(answer)
    facts["udp"].append(applies(client))
    opener, answerer = router.tcp(40001)
    opener.syn()
    facts["tcp"].append(applies(opener.endpoint))
    answerer.synack()
    facts["tcp"].append(applies(opener.endpoint))
    router.from_client(router.udp(40002, 54)[0])
    facts["other_port"] = applies(endpoint(router.client_address, 40002))
    # First this rule, so that connection tracking is not switched off in between.
    lab.track()
    lab.nft(f"delete table {lab.ip} policies")

    def by_default() -> bool:
        router.from_server(answer)
        return applies(client) == "default"

    # In how many milliseconds is up to the kernel's RCU, and to chance.
    soon = lab.until("the default timeout applies again", by_default, 3)
    return facts | {"removed": "within 3 s" if soon else "later"}


_EXPECT = """
    table {ip} policies {{
        ct expectation data {{ protocol tcp; dport 9876; timeout 2m; size 2; l3proto {ip}; }}
        chain pre {{
            type filter hook prerouting priority 0
            tcp dport 80 ct state new ct expectation set "data"
        }}
    }}
"""


@experiment(
    facts=[
        Fact("expected", int, "expectations after one connection to the port with the rule"),
        Fact("related", str, "conntrack state of the server's SYN back to the expected port"),
        Fact("other_port", str, "conntrack state of its SYN to another port"),
        Fact("other_server", str, "conntrack state of another server's SYN to the expected port"),
        Fact("second", str, "conntrack state of a second SYN to the expected port"),
        Fact("left", int, "expectations after that"),
    ],
    invariants=[
        Invariant(
            "what is expected is RELATED, and nothing else",
            lambda facts, variant: (
                facts["related"] == "RELATED"
                and "RELATED" not in (facts["other_port"], facts["other_server"])
            ),
        ),
    ],
    variants={"family": FAMILIES},
)
def ct_expectation_policy(lab: Lab) -> FactDict:
    """Can a rule, without a helper, let a connection back in as RELATED?

    nft's `ct expectation`: a client that connects to port 80 may be called back on port 9876 within
    two minutes. For protocols that have no helper.
    """
    router = lab.router(_EXPECT.format(ip=lab.ip))
    mine, theirs = lab.client, lab.server
    client, _ = router.tcp()
    client.syn()
    facts: FactDict = {"expected": len(lab.conntrack.expectations())}
    for name, source, port in (
        ("other_port", endpoint(theirs, 5000), 9877),
        ("other_server", endpoint(neighbour(theirs, 3), 5000), 9876),
        ("related", endpoint(theirs, 5000), 9876),
        ("second", endpoint(theirs, 5001), 9876),
    ):
        facts[name] = router.from_server(tcp(source, endpoint(mine, port)))
    return facts | {"left": len(lab.conntrack.expectations())}
