"""What an ordinary user may do as root of their user namespace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from guest.catalogue import FRONTENDS, SCOPES, Fact, FactDict, Facts, Invariant, experiment
from guest.errors import ToolFailed, Unsupported
from guest.lab.lab import Lab
from guest.lab.nftables import attempt
from guest.lab.packets import parse, udp
from guest.linux import errno_name

_NFT = {
    "dscp": "ip dscp set 10",
    "ttl": "ip ttl set 5",
    "source": "ip saddr set 10.0.1.99",
    "port": "udp dport set 99",
    "ecn": "ip ecn set 1",
    "mss": "tcp flags syn tcp option maxseg size set 1000",
    "mark": "meta mark set 5",
    "ct mark": "ct mark set 5",
    "dup": "dup to 10.0.2.9",
    "queue": "queue num 0 bypass",
    "log": "log",
}
_IPTABLES = {
    "dscp": "-j DSCP --set-dscp 10",
    "ttl": "-j TTL --ttl-set 5",
    "tos": "-j TOS --set-tos 16",
    "ecn": "-p tcp -j ECN --ecn-tcp-remove",
    "mss": "-p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1000",
    "mark": "-j MARK --set-mark 5",
    "connmark": "-j CONNMARK --set-mark 5",
    "tee": "-j TEE --gateway 10.0.2.9",
}


@experiment(
    facts=[
        Fact("accepted", list, "rules that the kernel accepts"),
        Fact("refused", list, "rules that it refuses, with its message"),
    ],
    variants={"frontend": FRONTENDS, "scope": SCOPES},
)
def header_rewrite(lab: Lab) -> FactDict:
    """Which rules that change packets may an ordinary user load in their namespace?

    One rule at a time in mangle FORWARD (nft: a forward chain): DSCP, TTL, TOS, ECN, MSS, addresses
    and ports, marks, copies, queues. Rootless containers are limited to what scope=user shows; a
    rule that used to load and now does not stops a whole rule set.
    """
    accepted, refused = [], []
    for name, words in (_NFT if lab.frontend == "native" else _IPTABLES).items():
        if lab.frontend == "native":
            _, error = attempt(
                "table ip t {\nchain forward {\ntype filter hook forward priority"
                f" 0\n{words}\n}}\n}}\ndelete table ip t\n"
            )
        else:
            error = _iptables(lab, words)
        if error:
            refused.append(f"{name}: {error}")
        else:
            accepted.append(name)
    return {"accepted": accepted, "refused": refused}


def _iptables(lab: Lab, words: str) -> str:
    try:
        lab.iptables(f"*mangle\n-A FORWARD {words}")
    except (Unsupported, ToolFailed) as refusal:
        return str(refusal).splitlines()[0].rpartition(": ")[2]
    return ""


@experiment(
    facts=[
        Fact(
            "accepted",
            str,
            "what becomes of a packet that the program just accepts: changed, unchanged, lost, or an errno"
            " for the verdict",
        ),
        Fact("same", str, "... that it returns unchanged"),
        Fact("payload", str, "... with other bytes in the payload"),
        Fact("longer", str, "... with more bytes in the payload"),
        Fact("wrong_length", str, "... with more bytes, but the old lengths in its headers"),
        Fact("ttl", str, "... with another TTL"),
        Fact("address", str, "... with another destination address"),
    ],
    invariants=[
        Invariant(
            "a packet that is just accepted is forwarded unchanged",
            lambda facts, variant: facts["accepted"] == "unchanged",
        )
    ],
    variants={"scope": SCOPES},
)
def nfqueue_rewrite(lab: Lab) -> FactDict:
    """May the program behind an NFQUEUE change packets?

    UDP packets wait in FORWARD for a verdict, which comes alone, with the packet as it was, with
    other or more bytes, or with a changed header. Proxies and intrusion prevention that rewrite
    packets depend on it.
    """
    router = lab.router(states=False)
    lab.chain("forward filter", "queue num 0")
    queue = lab.queue()
    original = udp("10.0.1.2:40000", "10.0.2.2:53", b"payload")
    facts: FactDict = {}
    for name in ("accepted", "same", "payload", "longer", "wrong_length", "ttl", "address"):
        router.from_client(original)
        (waiting,) = queue.waiting(1)
        packet = parse(waiting.data)
        if name == "payload":
            packet = udp("10.0.1.2:40000", "10.0.2.2:53", b"PAYLOAD")
        elif name == "longer":
            packet = udp("10.0.1.2:40000", "10.0.2.2:53", b"payload" * 20)
        elif name == "ttl":
            packet = parse(waiting.data)
            packet.ttl, packet.chksum = 7, None
        elif name == "address":
            packet = udp("10.0.1.2:40000", "10.0.2.3:53", b"payload")
        wanted = b"" if name == "accepted" else bytes(packet) + (b"more" if name == "wrong_length" else b"")
        try:
            queue.accept(waiting, wanted)
        except OSError as refusal:
            facts[name] = errno_name(refusal)
            continue
        out = router.server.read()
        facts[name] = "lost" if not out else "unchanged" if out[0] == waiting.data else "changed"
    return facts


class UserVisible(Facts):
    """Facts of `user-visible`."""

    readable: Annotated[list[str], "files with the table, its statistics and limits that can be read"]
    refused: Annotated[list[str], "those that cannot, with the errno"]
    log: Annotated[str, "what the kernel says to a reader of its log: ok or an errno"]


_FILES = (
    "/proc/net/nf_conntrack", "/proc/net/stat/nf_conntrack", "/proc/net/nf_conntrack_expect",
    "/proc/sys/net/netfilter/nf_conntrack_count", "/proc/sys/net/netfilter/nf_conntrack_max",
    "/proc/net/netfilter/nf_log", "/proc/slabinfo",
)  # fmt: skip


@experiment(variants={"scope": SCOPES})
def user_visible(lab: Lab) -> UserVisible:
    """What may an ordinary user, root of their own namespace, see of connection tracking?

    The table of the namespace's own flows and files around it, and the kernel's log, in which alone
    it says that the table is full.
    """
    lab.track()
    readable, refused = [], []
    for path in _FILES:
        try:
            lab.read(path)
        except OSError as error:
            refused.append(f"{path}: {errno_name(error)}")
        else:
            readable.append(path)
    try:
        with Path("/dev/kmsg").open("rb", buffering=0):
            log = "ok"
    except OSError as error:
        log = errno_name(error)
    return UserVisible(readable=readable, refused=refused, log=log)
