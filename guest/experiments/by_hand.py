"""Entries made, changed and deleted over ctnetlink, as conntrackd and `conntrack -I` do."""

from __future__ import annotations

import ipaddress
import struct

from guest import netlink
from guest.catalogue import Fact, FactDict, Invariant, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.packets import parse, tcp, udp
from guest.linux import errno_name
from guest.netlink import attribute, nested
from guest.observe import ctnetlink
from guest.observe.ctnetlink import NEW, Tuple, pack_tuple

_SEEN_REPLY, _ASSURED, _CONFIRMED = 2, 4, 8
_NAT_DST, _NAT_MINIP, _NAT_MAXIP = 13, 1, 2


def _timeout(seconds: int) -> bytes:
    return attribute(ctnetlink.TIMEOUT, struct.pack(">I", seconds))


def _status(bits: int) -> bytes:
    return attribute(ctnetlink.STATUS, struct.pack(">I", bits))


def _tcp_state(number: int) -> bytes:
    return nested(ctnetlink.PROTOINFO, nested(1, attribute(1, bytes([number]))))


def _both(protocol: int, sport: int, dport: int, server: str = "10.0.2.2", seen: str = "10.0.2.2") -> bytes:
    """Both tuples of a flow from the client, which wants `server` and is answered by `seen`."""
    original = pack_tuple(ctnetlink.TUPLE_ORIG, Tuple("10.0.1.2", server, protocol, sport, dport))
    return original + pack_tuple(ctnetlink.TUPLE_REPLY, Tuple(seen, "10.0.1.2", protocol, dport, sport))


@experiment(
    facts=[
        Fact("create", str, "what the kernel says to a new UDP entry: ok or an errno"),
        Fact("create_again", str, "... to the same entry once more"),
        Fact("no_timeout", str, "... to an entry without a timeout"),
        Fact("no_reply", str, "... to an entry without a reply tuple"),
        Fact(
            "replied",
            str,
            "conntrack state of the client's packet on an entry made as one that has seen a reply",
        ),
        Fact(
            "established",
            str,
            "conntrack state of a segment in the middle of a TCP connection made as ESTABLISHED,"
            " tcp_loose off",
        ),
        Fact(
            "translated",
            str,
            "whom a packet reaches whose entry was made with a destination NAT: backend, server or lost",
        ),
        Fact("mark", int, "the mark of an entry after it was set to 7"),
        Fact("timeout", str, "the timeout of an entry after it was set to an hour"),
        Fact("unconfirm", str, "what the kernel says when the bit CONFIRMED is taken away"),
        Fact("delete", str, "... when an entry is deleted"),
        Fact("delete_unknown", str, "... when an entry is deleted that is not there"),
    ],
    invariants=[
        Invariant(
            "an entry can be made once",
            lambda facts, variant: (facts["create"], facts["create_again"]) == ("ok", "EEXIST"),
        ),
        Invariant(
            "what was made carries traffic",
            lambda facts, variant: facts["replied"] == facts["established"] == "ESTABLISHED",
        ),
    ],
    modules=("nf_conntrack_netlink",),
)
def entries_by_hand(lab: Lab) -> FactDict:
    """Can entries be made, changed and deleted from user space, and do they carry traffic?

    Over ctnetlink, as a standby firewall does when it takes over: UDP and TCP entries, one with
    destination NAT, changes of mark, timeout and status. Then packets of these flows pass the
    router.
    """
    router = lab.router()
    lab.chain("prerouting nat", "udp dport 9 dnat to 10.0.2.9")
    lab.sysctl(sysctls.TCP_LOOSE, 0)

    def attempt(*body: bytes, flags: int = netlink.CREATE | netlink.EXCL | netlink.ACK) -> str:
        try:
            lab.conntrack.request(NEW, *body, family=2, flags=flags)
        except OSError as refusal:
            return errno_name(refusal)
        return "ok"

    def change(*body: bytes) -> str:
        return attempt(_both(17, 40000, 53), *body, flags=netlink.ACK)

    facts: FactDict = {
        "create": attempt(_both(17, 40000, 53), _timeout(100), _status(_SEEN_REPLY | _CONFIRMED)),
        "create_again": attempt(_both(17, 40000, 53), _timeout(100)),
        "no_timeout": attempt(_both(17, 40001, 53)),
        "no_reply": attempt(
            pack_tuple(ctnetlink.TUPLE_ORIG, Tuple("10.0.1.2", "10.0.2.2", 17, 40002, 53)), _timeout(100)
        ),
        "replied": router.from_client(udp("10.0.1.2:40000", "10.0.2.2:53")),
    }
    attempt(_both(6, 40003, 80), _timeout(100), _status(_SEEN_REPLY | _ASSURED | _CONFIRMED), _tcp_state(3))
    facts["established"] = router.from_client(
        tcp("10.0.1.2:40003", "10.0.2.2:80", "PA", seq=5, ack=6, data=b"x")
    )
    backend = ipaddress.ip_address("10.0.2.9").packed
    translation = nested(_NAT_DST, attribute(_NAT_MINIP, backend), attribute(_NAT_MAXIP, backend))
    attempt(_both(17, 40004, 53, seen="10.0.2.2"), _timeout(100), translation)
    router.from_client(udp("10.0.1.2:40004", "10.0.2.2:53"))
    facts["translated"] = (
        {"10.0.2.9": "backend", "10.0.2.2": "server"}[parse(router.out[0]).dst] if router.out else "lost"
    )
    change(attribute(ctnetlink.MARK, struct.pack(">I", 7)))
    change(_timeout(3600))
    flow = lab.flow("10.0.1.2:40000")
    facts |= {"mark": flow.mark, "timeout": flow.lifetime}
    facts["unconfirm"] = change(_status(_SEEN_REPLY))
    for name in ("delete", "delete_unknown"):
        facts[name] = "ok"
        try:
            if flow:
                lab.conntrack.delete(flow)
        except OSError as refusal:
            facts[name] = errno_name(refusal)
    return facts
