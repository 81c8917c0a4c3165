"""The flowtable from outside: what is counted on the fast path, and what takes a flow off it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from guest.catalogue import Facts, Guard, experiment
from guest.errors import ToolFailed, Unsupported
from guest.lab import nftables
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import Packet, tcp, udp
from guest.lab.rules import tool
from guest.linux import errno_name
from guest.observe.ctnetlink import COUNTERS_ORIG, PROTOINFO, TIMEOUT, Flow

_MODULES = ("nf_flow_table", "nft_flow_offload", "nf_flow_table_inet")
_CLIENT, _SERVER = "10.0.1.2:40000", "10.0.2.2:80"
_ATTRIBUTES = {"timeout": TIMEOUT, "protoinfo": PROTOINFO, "counters": COUNTERS_ORIG}
_TEN = 10


class _Offloaded:
    """A TCP or UDP flow that a router has put on the fast path."""

    def __init__(self, place: Namespace, protocol: str, *, counter: str = "") -> None:
        self.place = place
        self.protocol = protocol
        self._seq = {True: 1001, False: 5001}
        self.router = place.router(states=False)
        place.nft(f"""
            table ip fast {{
                flowtable f {{ hook ingress priority 0; devices = {{ tun0, tun1 }}; {counter} }}
                chain forward {{
                    type filter hook forward priority 0
                    counter comment "slow"
                    ct state established meta l4proto {{ tcp, udp }} flow add @f
                }}
            }}
        """)
        if protocol == "tcp":
            self.router.from_client(tcp(_CLIENT, _SERVER, "S", seq=1000))
            self.router.from_server(tcp(_SERVER, _CLIENT, "SA", seq=5000, ack=1001))
            self.router.from_client(tcp(_CLIENT, _SERVER, "A", seq=1001, ack=5001))
        for _ in range(3):
            self.send(there=True)
            self.send(there=False)
        if "OFFLOAD" not in self.flow.status:
            raise RuntimeError("the flow is not on the fast path, so nothing can be asked of it there")

    @property
    def flow(self) -> Flow:
        """The flow's entry now."""
        return self.place.flow(_CLIENT)

    def send(self, *, there: bool) -> bool:
        """Sends 100 bytes from the client, or from the server; whether they come out."""
        source, destination = (_CLIENT, _SERVER) if there else (_SERVER, _CLIENT)
        packet: Packet = udp(source, destination, bytes(100))
        if self.protocol == "tcp":
            seq, ack = self._seq[there], self._seq[not there]
            packet = tcp(source, destination, "PA", data=bytes(100), seq=seq, ack=ack)
            self._seq[there] += 100
        (self.router.from_client if there else self.router.from_server)(packet)
        return bool(self.router.out)

    def slow(self) -> int:
        """Packets that the forward chain has seen."""
        return self.place.counters().packets("slow")

    def where(self) -> str:
        """The entry: `fast`, `slow`, or gone."""
        flow = self.flow
        return ("fast" if "OFFLOAD" in flow.status else "slow") if flow else "gone"


class FlowtableCounters(Facts):
    """Facts of `flowtable-counters`."""

    flag: Annotated[
        str,
        "what the kernel says to the flag `counter` of a live flowtable: ok, or nft's words",
        Guard("a kernel that refuses the flag counts nothing, whatever its rules say"),
    ]
    counted: Annotated[
        dict[str, int], "packets that the entry counts of ten each way on the fast path, per protocol"
    ]
    bytes: Annotated[dict[str, int], "bytes that it counts of these, of 1400 (TCP) or 1280 (UDP)"]
    seen: Annotated[
        dict[str, int],
        "packets of these twenty that the forward chain saw, per protocol",
        Guard("only what passed the rules by says anything about counters of the fast path"),
    ]
    attributes: Annotated[list[str], "what a dump of the entry carries while it is on the fast path"]


@experiment(variants={"counter": ("without", "with")}, modules=_MODULES)
def flowtable_counters(lab: Lab) -> FlowtableCounters:
    """Are packets on the fast path counted in the connection's entry?

    nf_conntrack_acct is on; a TCP and a UDP flow are on the fast path of a flowtable without and
    with `counter`, and ten packets go each way. Billing, flow logs and idle timers read these
    counters. Tools that read the entry also rely on attributes that such an entry may lack.
    """
    given = "counter;" if lab.variant["counter"] == "with" else ""
    counted, size, seen, attributes = {}, {}, {}, []
    for protocol in ("tcp", "udp"):
        place = lab.new_namespace()
        place.sysctl("net/netfilter/nf_conntrack_acct", 1)
        fast = _Offloaded(place, protocol, counter=given)
        before, slow = fast.flow, fast.slow()
        for _ in range(_TEN):
            fast.send(there=True)
            fast.send(there=False)
        after = fast.flow
        seen[protocol] = fast.slow() - slow
        for name, number in (("original", 0), ("reply", 1)):
            packets, octets = (
                _moved(before.packets, after.packets, number),
                _moved(before.bytes, after.bytes, number),
            )
            counted[f"{protocol} {name}"], size[f"{protocol} {name}"] = packets, octets
        carried = [name for name, kind in _ATTRIBUTES.items() if kind in after.attributes]
        attributes.append(f"{protocol}: {' '.join(carried) or 'none'}")
    place = lab.new_namespace()
    _Offloaded(place, "udp")
    return FlowtableCounters(
        flag=_attempt(place, "add flowtable ip fast f { hook ingress priority 0; counter; }"),
        counted=counted,
        bytes=size,
        seen=seen,
        attributes=attributes,
    )


def _moved(before: tuple[int, int] | None, after: tuple[int, int] | None, number: int) -> int:
    return after[number] - before[number] if before and after else -1


def _attempt(place: Namespace, script: str) -> str:
    with place.inside():
        _, error = nftables.attempt(script)
    return error or "ok"


class FlowtableCut(Facts):
    """Facts of `flowtable-cut`."""

    answer: Annotated[list[str], "per attempt: what the kernel says: ok, an errno or nft's words"]
    passes: Annotated[
        dict[str, int], "per attempt: packets of two, one each way, that get through right after it"
    ]
    seen: Annotated[dict[str, int], "per attempt: how many of them the forward chain sees"]
    entry: Annotated[list[str], "per attempt: the entry then: fast (on the fast path), slow, or gone"]


@experiment(variants={"protocol": ("tcp", "udp")}, modules=_MODULES)
def flowtable_cut(lab: Lab) -> FlowtableCut:
    """Does it stop a connection on the fast path to delete its entry, to drop it in a rule, or to
    remove the flowtable?

    A flow is on the fast path. Its entry is deleted over ctnetlink; the table is flushed; a drop
    rule is put first in the forward chain; the rule with `flow add` is removed; the rules and the
    flowtable are deleted; a device of it goes down and up. Then one packet goes each way at once.
    An operator who must cut a connection does one of these.
    """
    answers, passes, seen, entries = [], {}, {}, []
    for name, attempt in _ATTEMPTS.items():
        fast = _Offloaded(lab.new_namespace(), lab.variant["protocol"])
        answers.append(f"{name}: {_said(attempt, fast)}")
        before = fast.slow()
        passes[name] = fast.send(there=True) + fast.send(there=False)
        seen[name] = max(0, fast.slow() - before)
        entries.append(f"{name}: {fast.where()}")
    return FlowtableCut(answer=answers, passes=passes, seen=seen, entry=entries)


def _said(attempt: Callable[[_Offloaded], None], fast: _Offloaded) -> str:
    try:
        attempt(fast)
    except OSError as error:
        return errno_name(error)
    except (Unsupported, ToolFailed) as refusal:
        return str(refusal).splitlines()[0]
    return "ok"


def _delete(fast: _Offloaded) -> None:
    fast.place.conntrack.delete(fast.flow)


def _flush(fast: _Offloaded) -> None:
    fast.place.conntrack.flush()


def _drop(fast: _Offloaded) -> None:
    fast.place.nft("insert rule ip fast forward meta l4proto { tcp, udp } th dport { 80, 40000 } drop")


def _without_add(fast: _Offloaded) -> None:
    fast.place.nft('flush chain ip fast forward\nadd rule ip fast forward counter comment "slow"')


def _without_flowtable(fast: _Offloaded) -> None:
    _without_add(fast)
    fast.place.nft("delete flowtable ip fast f")


def _down_up(fast: _Offloaded) -> None:
    with fast.place.inside():
        tool("ip", "-batch", "-", text="link set tun1 down\nlink set tun1 up\n")


_ATTEMPTS: dict[str, Callable[[_Offloaded], None]] = {
    "entry deleted": _delete,
    "table flushed": _flush,
    "drop rule": _drop,
    "no flow add": _without_add,
    "no flowtable": _without_flowtable,
    "down and up": _down_up,
}
