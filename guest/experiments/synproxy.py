"""SYNPROXY: handshakes that the router answers itself."""

from __future__ import annotations

from typing import Any

from guest.catalogue import FRONTENDS, Fact, FactDict, Invariant, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.packets import parse, tcp, with_ports
from guest.lab.router import Router

_OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1000, 0)), ("NOP", None), ("WScale", 7)]
_ANSWER = "--sack-perm --timestamp --wscale 5 --mss 1400"
_IPTABLES = f"""
    *raw
    -A PREROUTING -i tun0 -p tcp --dport 80 --syn -j CT --notrack
    *filter
    -A FORWARD -p tcp --dport 80 -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY {_ANSWER}
    -A FORWARD -m conntrack --ctstate INVALID -j DROP
"""
_NOTRACK = "iif tun0 tcp dport 80 tcp flags syn / fin,syn,rst,ack notrack"
_GUARD = (
    "tcp dport 80 ct state invalid,untracked synproxy mss 1400 wscale 5 timestamp sack-perm",
    "ct state invalid drop",
)
_MODULES = ("ipt_SYNPROXY", "nft_synproxy")


def _guarded(lab: Lab) -> Router:
    router = lab.router(states=False)
    lab.sysctl(sysctls.TCP_LOOSE, 0)
    lab.sysctl("net/ipv4/tcp_timestamps", 1)
    if lab.frontend == "native":
        lab.chain("prerouting raw", _NOTRACK)
        lab.chain("forward filter", *_GUARD)
    else:
        lab.iptables(_IPTABLES)
    return router


def _options(packet: Any) -> list[str]:
    """The options of a segment as `name value`, without the values of timestamps, which change."""
    return [
        f"{name} {value}" if name in ("MSS", "WScale") else str(name)
        for name, value in packet["TCP"].options
        if name != "NOP"
    ]


def _handshake(router: Router, dport: int = 80) -> tuple[Any, Any, Any]:
    """A client's handshake with the router; returns the router's SYN+ACK, its SYN to the server,
    and the timestamps of the SYN+ACK.
    """
    router.from_client(tcp("10.0.1.2:40000", f"10.0.2.2:{dport}", "S", seq=1000, options=_OPTIONS))
    synack = parse(router.back[0])
    stamps = dict(synack["TCP"].options).get("Timestamp", (0, 0))
    options = [("NOP", None), ("NOP", None), ("Timestamp", (1001, stamps[0]))]
    router.from_client(
        tcp("10.0.1.2:40000", f"10.0.2.2:{dport}", "A", seq=1001, ack=synack["TCP"].seq + 1, options=options)
    )
    syn = parse(router.out[0])
    router.from_server(
        tcp("10.0.2.2:80", "10.0.1.2:40000", "SA", seq=70_000, ack=syn["TCP"].seq + 1, window=5000,
            options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (5000, 1001)), ("NOP", None), ("WScale",
                                                                                                  9)])
    )  # fmt: skip
    return synack, syn, stamps


@experiment(
    facts=[
        Fact("answers", int, "SYN+ACKs that a flood of fifty SYNs got from the router"),
        Fact("forwarded", int, "SYNs of the flood that reached the server"),
        Fact("flood_flows", int, "flows the flood left"),
        Fact("guesses", int, "segments that reached the server after fifty bare ACKs with made-up numbers"),
        Fact("guess_flows", int, "flows these left"),
        Fact("state", str, "TCP state of the entry of one client that shook hands properly"),
        Fact("flows", int, "flows then"),
    ],
    invariants=[
        Invariant("a flood is answered, leaves no entry, and does not reach the server",
                  lambda facts, variant: (facts["answers"], facts["forwarded"],
                                          facts["flood_flows"]) == (50, 0, 0)),
        Invariant("a proper client gets its connection", lambda facts,
                  variant: facts["state"] == "ESTABLISHED" and facts["flows"] == 1),
    ],
    variants={"frontend": FRONTENDS},
    modules=_MODULES,
)  # fmt: skip
def synproxy_flood(lab: Lab) -> FactDict:
    """Does SYNPROXY keep a SYN flood out of the table and away from the server?

    SYNs are not tracked in PREROUTING and answered by SYNPROXY in FORWARD, tcp_loose is off: fifty
    SYNs, fifty bare ACKs with numbers that no cookie has, then one client that answers the cookie.
    """
    router = _guarded(lab)
    router.client.send(*with_ports(tcp("10.0.1.3:1", "10.0.2.2:80"), range(41000, 41050)))
    facts: FactDict = {
        "answers": sum(str(parse(data)["TCP"].flags) == "SA" for data in router.client.read()),
        "forwarded": len(router.server.read()),
        "flood_flows": len(lab.flows()),
    }
    router.client.send(*with_ports(tcp("10.0.1.3:1", "10.0.2.2:80", "A", seq=5, ack=6), range(42000, 42050)))
    facts |= {"guesses": len(router.server.read()), "guess_flows": len(lab.flows())}
    _handshake(router)
    return facts | {"state": lab.state("10.0.1.2:40000"), "flows": len(lab.flows())}


@experiment(
    facts=[
        Fact("to_client", list, "options in the SYN+ACK that the client gets"),
        Fact("to_server", list, "options in the SYN that the server gets"),
        Fact("same_sequence", bool, "whether the server sees the client's own sequence number"),
        Fact("data", str, "what becomes of the client's first data: forwarded or lost"),
        Fact(
            "answer_translated",
            bool,
            "whether the server's data reaches the client with the sequence numbers of the router's SYN+ACK",
        ),
        Fact(
            "stamp_translated",
            bool,
            "whether the timestamp the client echoes reaches the server as the server's own",
        ),
        Fact(
            "two_stamps",
            str,
            "what becomes of data that carries the timestamp option twice: forwarded or lost",
        ),
        Fact("second_stamp_translated", bool, "whether its second timestamp is the server's own too"),
    ],
    variants={"frontend": FRONTENDS},
    modules=_MODULES,
)
def synproxy_options(lab: Lab) -> FactDict:
    """How does SYNPROXY rewrite options, sequence numbers and timestamps between client and server?

    A full handshake with MSS, SACK, timestamps and window scale on both sides, the router
    configured with other values; then data each way.
    """
    router = _guarded(lab)
    synack, syn, stamps = _handshake(router)
    facts: FactDict = {
        "to_client": _options(synack),
        "to_server": _options(syn),
        "same_sequence": syn["TCP"].seq == 1000,
    }
    mine = ("Timestamp", (1002, stamps[0]))

    def data(*options: tuple[str, Any], size: int) -> Any:
        router.from_client(
            tcp(
                "10.0.1.2:40000",
                "10.0.2.2:80",
                "PA",
                seq=1001 + size,
                ack=synack["TCP"].seq + 1,
                data=b"x" * 100,
                options=options,
            )
        )
        return parse(router.out[0]) if router.out else None

    first = data(("NOP", None), ("NOP", None), mine, size=0)
    facts["data"] = "forwarded" if first else "lost"
    facts["stamp_translated"] = bool(first) and dict(first["TCP"].options)["Timestamp"][1] == 5000
    second = data(mine, mine, size=100)
    facts["two_stamps"] = "forwarded" if second else "lost"
    echoes = [value[1] for name, value in second["TCP"].options if name == "Timestamp"] if second else []
    facts["second_stamp_translated"] = len(echoes) == 2 and echoes[1] == 5000
    router.from_server(
        tcp("10.0.2.2:80", "10.0.1.2:40000", "PA", seq=70_001, ack=1101, data=b"y" * 100,
            options=[("NOP", None), ("NOP", None), ("Timestamp", (5001, 1002))])
    )  # fmt: skip
    facts["answer_translated"] = bool(router.out) and parse(router.out[0])["TCP"].seq == synack["TCP"].seq + 1
    return facts
