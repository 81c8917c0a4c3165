"""Helpers and expectations: connections that belong to others."""

from __future__ import annotations

from guest.catalogue import Fact, Facts, Invariant, experiment
from guest.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.router import Peer, Router
from guest.observe.ctnetlink import parse_tuple
from guest.root import Refused

_KNOB = "net/netfilter/nf_conntrack_helper"
_FTP = """
    table ip help { ct helper ftp { type "ftp" protocol tcp; };
                    chain pre { type filter hook prerouting priority -150; tcp dport 21 ct helper set "ftp"; }; }
"""


def _control(place: Namespace, rules: str = "") -> tuple[Router, Peer, Peer]:
    router = place.router(rules)
    client, server = router.handshake(40000, 21)
    return router, client, server


@experiment(
    facts=[
        Fact("knob", str, "nf_conntrack_helper in a fresh namespace: its value, or absent"),
        Fact("by_itself", str, "helper of a connection to port 21, the module loaded and no rule: its name, or none"),
        Fact("knob_on", str, "the same with the knob at 1, or absent"),
        Fact("by_rule", str, "the same with a rule that sets the helper"),
        Fact("ports_parameter", bool, "whether the module still takes the parameter ports="),
        Fact("warning", bool, "whether the kernel logged that it no longer assigns helpers by itself"),
    ],
    modules=("nf_conntrack_ftp", "nft_ct"),
    invariants=[
        Invariant("a rule attaches the helper", lambda facts, variant: facts["by_rule"] == "ftp"),
        Invariant("without knob and rule no helper is attached", lambda facts, variant: facts["by_itself"] == "none"),
    ],
)
def helper_autoassign(lab: Lab) -> Facts:
    """Does the FTP helper attach itself to port 21, or only by a rule?

    nf_conntrack_ftp is loaded, and a connection to port 21 goes through a router: without rule, with nf_conntrack_helper set to 1, and
    with a rule. Active FTP through a firewall breaks where the helper no longer attaches by itself.
    """

    def helper(place: Namespace, rules: str = "") -> str:
        _, client, _ = _control(place, rules)
        flow = place.flow(client.me)
        return (flow.helper if flow else "") or "none"

    knob = lab.read_sysctl(_KNOB) if "nf_conntrack_helper" in lab.sysctl_names("net/netfilter") else "absent"
    facts: Facts = {"knob": knob, "by_itself": helper(lab.another()), "knob_on": "absent"}
    if knob != "absent":
        place = lab.another()
        place.sysctl(_KNOB, 1)
        facts["knob_on"] = helper(place)
    facts["by_rule"] = helper(lab.another(), _FTP)
    try:
        facts["ports_parameter"] = bool(lab.root.read("/sys/module/nf_conntrack_ftp/parameters/ports"))
    except Refused:
        facts["ports_parameter"] = False
    return facts | {"warning": any("helper assignment" in line for line in lab.root.dmesg())}


@experiment(
    facts=[
        Fact("expectations", int, "expectations after the client's PORT command"),
        Fact("expected_port", int, "port the server is expected to connect to"),
        Fact("command", str, "conntrack state of the PORT command"),
        Fact("related", str, "conntrack state of the server's connection to that port"),
        Fact("other_port", str, "conntrack state of a connection to another port of the client's"),
        Fact("master", bool, "whether the new entry names the control connection as its master"),
        Fact("left", int, "expectations after that connection"),
        Fact("lifetime", str, "how long the expectation waits"),
    ],
    modules=("nf_conntrack_ftp", "nft_ct"),
    invariants=[
        Invariant(
            "the announced data connection is RELATED, another one is NEW",
            lambda facts, variant: facts["related"] == "RELATED" and facts["other_port"] == "NEW" and facts["master"],
        )
    ],
)
def ftp_expectation(lab: Lab) -> Facts:
    """Does FTP's PORT command make the data connection RELATED?

    A control connection with the helper set by a rule: USER, its answer, then `PORT 10,0,1,2,195,80` (port 50000). The server connects
    from port 20 to 50000, and to 50001, which nobody announced.
    """
    router, client, server = _control(lab, _FTP)
    client.data(b"USER anonymous\r\n")
    server.data(b"331 Please specify the password.\r\n")
    client.ack()
    command = client.data(b"PORT 10,0,1,2,195,80\r\n")
    waiting = lab.conntrack.expectations()
    tuples = [parse_tuple(found[2]) for found in waiting]
    seconds = int.from_bytes(waiting[0][4], "big") if waiting else 0
    related = router.tcp_between("10.0.2.2:20", "10.0.1.2:50000")[0]
    other = router.tcp_between("10.0.2.2:20", "10.0.1.2:50001")[0]
    # These come from the server's side.
    related.forward = other.forward = router.from_server
    facts = {"related": related.syn(), "other_port": other.syn()}
    flow = lab.flow("10.0.2.2:20", "10.0.1.2:50000")
    return facts | {
        "expectations": len(waiting),
        "expected_port": tuples[0].dport if tuples else 0,
        "command": command,
        "master": bool(flow and flow.master and flow.master.dport == 21),
        "left": len(lab.conntrack.expectations()),
        "lifetime": f"{next(rung for rung in (0, 10, 30, 60, 120, 180, 300, 600) if seconds <= rung)} s",
    }
