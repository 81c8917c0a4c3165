"""Helpers: who attaches them, and the expected connections they make."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path

from guest.catalogue import FAMILIES, FRONTENDS, SCOPES, Fact, FactDict, Invariant, experiment
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.packets import endpoint, neighbour, parse, ports, tcp
from guest.lab.router import Peer, Router

_KNOB = "net/netfilter/nf_conntrack_helper"
_HELPER = """
    table inet helpers {
        ct helper ftp-any {
            type "ftp" protocol tcp
        }
        chain prerouting {
            type filter hook prerouting priority -150
            tcp dport { 21, 2121 } ct helper set "ftp-any"
        }
    }
"""


def _by_rule(lab: Lab) -> None:
    if lab.frontend == "native":
        lab.nft(_HELPER)
    else:
        lab.iptables(
            "*raw\n"
            + "\n".join(f"-A PREROUTING -p tcp --dport {port} -j CT --helper ftp" for port in (21, 2121))
        )


@experiment(
    facts=[
        Fact("default", str, "the sysctl nf_conntrack_helper as it is found: a value or absent"),
        Fact(
            "by_default",
            str,
            "the helper of a connection to port 21 when nothing was done but loading the module; none if"
            " there is none",
        ),
        Fact("write", str, "what the kernel says when nf_conntrack_helper is set to 1: ok or an errno"),
        Fact("with_sysctl", str, "the helper of a new connection to port 21 after that"),
        Fact("by_rule", str, "the helper of a connection to port 21 for which a rule assigns it"),
        Fact("by_rule_elsewhere", str, "the helper of a connection to port 2121 for which a rule assigns it"),
        Fact("ports_parameter", bool, "whether the module nf_conntrack_ftp has a parameter `ports`"),
    ],
    invariants=[
        Invariant(
            "a rule assigns a helper on any port",
            lambda facts, variant: facts["by_rule"] == facts["by_rule_elsewhere"] == "ftp",
        ),
        Invariant("by default none attaches by itself", lambda facts, variant: facts["by_default"] == "none"),
    ],
    variants={"frontend": FRONTENDS, "scope": SCOPES},
    modules=("nf_conntrack_ftp", "xt_CT", "nft_ct"),
)
def helper_autoassign(lab: Lab) -> FactDict:
    """Does a helper attach to connections by itself, and can it be made to?

    nf_conntrack_ftp is loaded. A connection to port 21 as things are, one with
    nf_conntrack_helper=1, one with a rule (`-j CT --helper ftp`, nft `ct helper set`), and one to
    port 2121 with a rule. The helper is what the entry itself names.
    """
    router = lab.router(states=False)
    lab.track()
    ports = iter(range(40000, 40010))

    def helper(dport: int = 21) -> str:
        client, _ = router.handshake(next(ports), dport)
        return lab.flow(client.endpoint).helper or "none"

    exists = Path("/proc/sys", _KNOB).exists()
    facts: FactDict = {"default": lab.read_sysctl(_KNOB) if exists else "absent", "by_default": helper()}
    facts |= {"write": lab.try_sysctl(_KNOB, 1), "with_sysctl": helper()}
    lab.try_sysctl(_KNOB, 0)
    _by_rule(lab)
    facts |= {"by_rule": helper(), "by_rule_elsewhere": helper(2121)}
    return facts | {"ports_parameter": Path("/sys/module/nf_conntrack_ftp/parameters/ports").exists()}


def _control(router: Router) -> tuple[Peer, Peer]:
    client, server = router.handshake(40000, 21)
    server.data(b"220 ready\r\n")
    client.ack()
    client.data(b"USER anonymous\r\n")
    server.ack()
    return client, server


@experiment(
    facts=[
        Fact("expectations", int, "expected connections after PORT (IPv6: EPRT)"),
        Fact("lifetime", str, "the timeout of the expectation"),
        Fact("of_helper", str, "the helper and the class that the expectation names"),
        Fact("active", str, "conntrack state of the server's SYN from port 20 to the announced port"),
        Fact("again", str, "conntrack state of a second SYN to that port, from another port of the server's"),
        Fact("other_port", str, "conntrack state of a SYN to a port that was not announced"),
        Fact("other_host", str, "conntrack state of a SYN from another host to a newly announced port"),
        Fact(
            "passive",
            str,
            "conntrack state of the client's SYN to the port the server announced (227, IPv6: 229)",
        ),
        Fact(
            "master", bool, "whether the data connection's entry names the control connection as its master"
        ),
        Fact("data_helper", str, "the helper of the data connection; none if there is none"),
        Fact(
            "after_control",
            int,
            "expected connections once the control connection's entry is deleted",
            guard="an expectation that outlived its connection would let strangers in",
        ),
        Fact("data_after_control", str, "TCP state of the data connection then"),
    ],
    invariants=[
        Invariant(
            "announced connections are RELATED, others are not",
            lambda facts, variant: (
                facts["active"] == facts["passive"] == "RELATED" and facts["other_port"] == "NEW"
            ),
        ),
        Invariant("expectations end with their master", lambda facts, variant: facts["after_control"] == 0),
    ],
    variants={"family": FAMILIES},
    modules=("nf_conntrack_ftp",),
)
def ftp_expectation(lab: Lab) -> FactDict:
    """Which connections does an FTP control connection make RELATED, and for how long?

    A control connection with the helper assigned by a rule. The client announces a port (PORT or
    EPRT), the server connects to it; the server announces one (227 or 229), the client connects.
    Then the control connection's entry is deleted.
    """
    router = lab.router(_HELPER)
    client, server = _control(router)
    mine, other = router.client_address, router.server_address
    third = neighbour(other, 9)

    def announce(port: int) -> None:
        if lab.family is Family.IPV6:
            client.data(f"EPRT |2|{mine}|{port}|\r\n".encode())
        else:
            client.data(f"PORT {mine.replace('.', ',')},{port >> 8},{port & 255}\r\n".encode())
        server.ack()

    def syn(way: Callable[..., str], source: str, sport: int, destination: str, dport: int) -> str:
        return way(tcp(endpoint(source, sport), endpoint(destination, dport)))

    announce(50000)
    facts: FactDict = {"expectations": len(lab.conntrack.expectations())}
    left = [int.from_bytes(found[4], "big") for found in lab.conntrack.expectations()]
    facts["lifetime"] = "5 minutes" if left and 240 < left[0] <= 300 else "other"
    names = [
        f"{found.get(6, b'').rstrip(bytes(1)).decode() or 'none'}, {int.from_bytes(found.get(9, b''), 'big')}"
        for found in lab.conntrack.expectations()
    ]
    facts["of_helper"] = names[0] if names else "gone"
    facts["other_port"] = syn(router.from_server, other, 20, mine, 50001)
    facts["active"] = syn(router.from_server, other, 20, mine, 50000)
    facts["again"] = syn(router.from_server, other, 1020, mine, 50000)
    flow = lab.flow(endpoint(other, 20))
    facts |= {
        "master": flow.master is not None,
        "data_helper": flow.helper or "none",
    }
    announce(50002)
    facts["other_host"] = syn(router.from_server, third, 20, mine, 50002)
    line = (
        "229 Entering Extended Passive Mode (|||50003|)"
        if lab.family is Family.IPV6
        else f"227 Entering Passive Mode ({other.replace('.', ',')},195,83)"
    )
    server.data(line.encode() + b"\r\n")
    client.ack()
    facts["passive"] = syn(router.from_client, mine, 40001, other, 50003)
    control = lab.flow(client.endpoint)
    if control:
        lab.conntrack.delete(control)
    return facts | {
        "after_control": len(lab.conntrack.expectations()),
        "data_after_control": lab.state(endpoint(mine, 40001)),
    }


@experiment(
    facts=[
        Fact(
            "announced",
            str,
            "what the server reads after the client's PORT or EPRT: the router's address, the client's, or"
            " another",
        ),
        Fact(
            "port_kept",
            bool,
            "whether it reads the client's own port",
            guard="a helper must change no port that nobody else has: some clients listen on one alone",
        ),
        Fact(
            "acknowledged",
            bool,
            "whether the server's ACK of what it read is translated to what the client sent",
        ),
        Fact(
            "next_sequence", bool, "whether the client's next segment continues where the rewritten one ended"
        ),
        Fact(
            "data",
            str,
            "whom the server's SYN to the announced address and port reaches: client, router, or lost",
        ),
        Fact("data_state", str, "conntrack state of that SYN"),
    ],
    invariants=[
        Invariant(
            "the server reads an address that it can reach, and reaches the client there",
            lambda facts, variant: (
                (facts["announced"], facts["data"], facts["data_state"]) == ("router", "client", "RELATED")
            ),
        )
    ],
    modules=("nf_conntrack_ftp", "nf_nat_ftp"),
    variants={"family": FAMILIES},
)
def ftp_nat(lab: Lab) -> FactDict:
    """Does active FTP work through masquerading?

    The helper has to write the router's address and a port that it chooses into the client's PORT
    (IPv6: EPRT), which can change the segment's length and with it every sequence number after it.
    """
    router = lab.router(_HELPER)
    lab.chain("postrouting nat", "oif tun1 masquerade")
    own = neighbour(router.server_address, 1)
    client, server = router.tcp(40000, 21)
    client.syn()
    server.remote = endpoint(own, ports(router.out[0])[0])
    server.synack()
    client.ack()
    server.data(b"220 ready\r\n")
    client.ack()
    client.data(b"USER anonymous\r\n")
    before = client.seq
    client.data(
        b"EPRT |2|2001:db8:1::2|51400|\r\n" if lab.family is Family.IPV6 else b"PORT 10,0,1,2,200,200\r\n"
    )
    line = bytes(parse(router.out[0])["TCP"].payload).decode()
    if lab.family is Family.IPV6:
        _, _, address, number, _ = line.split("|")
        # The kernel writes all its zeros out.
        address, port = str(ipaddress.ip_address(address)), int(number)
    else:
        numbers = line.removeprefix("PORT ").strip().split(",")
        address, port = ".".join(numbers[:4]), int(numbers[4]) * 256 + int(numbers[5])
    facts: FactDict = {
        "announced": {own: "router", router.client_address: "client"}.get(address, "another"),
        "port_kept": port == 200 * 256 + 200,
    }
    server.ack(ack=before + len(line))
    facts["acknowledged"] = bool(router.out) and parse(router.out[0])["TCP"].ack == client.seq
    client.data(b"LIST\r\n")
    facts["next_sequence"] = bool(router.out) and parse(router.out[0])["TCP"].seq == before + len(line)
    facts["data_state"] = router.from_server(
        tcp(endpoint(router.server_address, 20), endpoint(address, port))
    )
    reached = parse(router.out[0]).dst if router.out else ""
    return facts | {
        "data": "client" if reached == router.client_address else "router" if router.back else "lost"
    }
