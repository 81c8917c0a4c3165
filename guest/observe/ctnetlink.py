"""Connection tracking over ctnetlink: flows, statistics, deletion and events.

Source: include/uapi/linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_common.h.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

from guest import linux, netlink
from guest.family import Family
from guest.netlink import Attributes, Malformed, Netlink, attribute, attributes, nested

NEW, GET, DELETE, _, GET_STATS_CPU, GET_STATS, GET_DYING, GET_UNCONFIRMED = range(8)
_CONNTRACK, _EXPECTATION = 1, 2

TUPLE_ORIG, TUPLE_REPLY, STATUS, PROTOINFO, HELP = 1, 2, 3, 4, 5
TIMEOUT, MARK, COUNTERS_ORIG, COUNTERS_REPLY = 7, 8, 9, 10
TUPLE_MASTER, ZONE, TIMESTAMP, LABELS, FILTER = 14, 18, 20, 22, 25

_STATUS_BITS = (
    "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE",
    "DST_NAT_DONE",
    "DYING", "FIXED_TIMEOUT", "TEMPLATE", "NAT_CLASH", "HELPER", "OFFLOAD", "HW_OFFLOAD",
)  # fmt: skip
_TCP_STATES = (
    "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT",
    "CLOSE", "SYN_SENT2",
)  # fmt: skip
_DCCP_STATES = ("NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT")
_SCTP_STATES = (
    "NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD",
    "SHUTDOWN_ACK_SENT",
    "HEARTBEAT_SENT", "HEARTBEAT_ACKED",
)  # fmt: skip
_STATES = {1: _TCP_STATES, 2: _DCCP_STATES, 3: _SCTP_STATES}
_STATISTICS = {
    2: "found", 4: "invalid", 8: "insert", 9: "insert_failed", 10: "drop", 11: "early_drop", 12: "error",
    13: "search_restart", 14: "clash_resolve", 15: "chain_toolong",
}  # fmt: skip
_SHOWN = 1_000  # bytes of a message that cannot be read
_NUMBER_BYTES, _LABEL_BYTES = 8, 16
RUNGS = (
    0, 3, 10, 30, 60, 64, 120, 180, 210, 240, 300, 480, 600, 3600, 18000, 43200, 86400, 432000,
)  # fmt: skip
"""The timeouts that some kernel has by default, in seconds."""
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 58: "icmpv6", 132: "sctp", 136: "udplite"}


@dataclass(frozen=True)
class Tuple:
    """One direction of a flow.

    For ICMP `sport` is the id and `dport` is type * 256 + code; both are 0 where a protocol has
    none.
    """

    source: str
    destination: str
    protocol: int
    sport: int = 0
    dport: int = 0

    def __str__(self) -> str:
        ports = f" sport={self.sport} dport={self.dport}"
        if self.protocol in (1, 58):
            ports = f" type={self.dport >> 8} code={self.dport & 255} id={self.sport}"
        return f"src={self.source} dst={self.destination}{ports}"


@dataclass(frozen=True)
class Flow:
    """One entry of the table.

    `state` is empty for protocols without one; `timeout` is in seconds and never a fact.
    """

    orig: Tuple
    reply: Tuple
    status: frozenset[str] = frozenset()
    state: str = ""
    timeout: int = 0
    mark: int = 0
    zone: int = 0
    helper: str = ""
    labels: int = 0
    master: Tuple | None = None
    packets: tuple[int, int] | None = None
    bytes: tuple[int, int] | None = None
    started: bool = False
    attributes: Attributes = field(default_factory=dict, repr=False, compare=False)

    @property
    def assured(self) -> bool:
        """Whether the entry is ASSURED and thus exempt from early drop."""
        return "ASSURED" in self.status

    @property
    def lifetime(self) -> str:
        """The remaining timeout rounded up to the next default timeout, for example `120 s`: a slow
        machine does not change it.
        """
        return f"{next((rung for rung in RUNGS if self.timeout <= rung), RUNGS[-1])} s"

    def __str__(self) -> str:
        words = [
            f"{PROTOCOLS.get(self.orig.protocol, 'proto')} {self.orig.protocol} {self.timeout}",
            self.state,
            str(self.orig),
        ]
        words += [
            "" if "SEEN_REPLY" in self.status else "[UNREPLIED]",
            str(self.reply),
            "[ASSURED]" if self.assured else "",
        ]
        words += [
            "[OFFLOAD]" if "OFFLOAD" in self.status else "",
            f"mark={self.mark}",
            f"zone={self.zone}" if self.zone else "",
        ]
        words += [
            f"helper={self.helper}" if self.helper else "",
            f"packets={self.packets}" if self.packets else "",
        ]
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class _Gone(Flow):
    def __bool__(self) -> bool:
        return False

    @property
    def lifetime(self) -> str:
        return "gone"


GONE: Flow = _Gone(Tuple("", "", 0), Tuple("", "", 0), state="gone", helper="gone", mark=-1)
"""The result of a search that finds none: false, `gone` as state, lifetime and helper, mark -1."""


def states(flows: Iterable[Flow]) -> dict[str, int]:
    """How many flows are in each state."""
    return dict(sorted(Counter(flow.state for flow in flows).items()))


def parse_flow(payload: bytes) -> Flow:
    """A flow from a message's payload, nfgenmsg header included. Raises Malformed if there is
    none.
    """
    try:
        return _flow(attributes(payload[4:]))
    except (KeyError, IndexError, ValueError) as error:
        raise Malformed(f"no flow in {payload[:_SHOWN].hex()}") from error


def _flow(found: Attributes) -> Flow:
    status = _number(found.get(STATUS, b""))
    counters = [attributes(found[kind]) for kind in (COUNTERS_ORIG, COUNTERS_REPLY) if kind in found]
    return Flow(
        orig=parse_tuple(found[TUPLE_ORIG]),
        reply=parse_tuple(found[TUPLE_REPLY]),
        status=frozenset(name for bit, name in enumerate(_STATUS_BITS) if status >> bit & 1),
        state=_state(found),
        timeout=_number(found.get(TIMEOUT, b"")),
        mark=_number(found.get(MARK, b"")),
        zone=_number(found.get(ZONE, b"")),
        helper=(
            attributes(found[HELP]).get(1, b"").rstrip(b"\0").decode(errors="replace")
            if HELP in found
            else ""
        ),
        # The label bitmap travels as host longs; the guests are little endian.
        labels=_number(found.get(LABELS, b"")[::-1], _LABEL_BYTES),
        master=parse_tuple(found[TUPLE_MASTER]) if TUPLE_MASTER in found else None,
        packets=_pair(counters, 1),
        bytes=_pair(counters, 2),
        started=TIMESTAMP in found,
        attributes=found,
    )


def parse_tuple(data: bytes) -> Tuple:
    """A tuple from the value of a CTA_TUPLE_* attribute."""
    found = attributes(data)
    address = attributes(found.get(1, b""))
    number = {kind: _number(value) for kind, value in attributes(found.get(2, b"")).items()}
    identifier, kind, code = (4, 5, 6) if number.get(1) == 1 else (7, 8, 9)
    icmp = identifier in number or kind in number
    return Tuple(
        source=_address(address.get(1) or address.get(3) or bytes(4)),
        destination=_address(address.get(2) or address.get(4) or bytes(4)),
        protocol=number.get(1, 0),
        sport=number.get(identifier, 0) if icmp else number.get(2, 0),
        dport=number.get(kind, 0) << 8 | number.get(code, 0) if icmp else number.get(3, 0),
    )


def _address(packed: bytes) -> str:
    # ipaddress needs five times as long, and tables hold thousands of flows.
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _state(found: Attributes) -> str:
    for kind, value in attributes(found.get(PROTOINFO, b"")).items():
        number = attributes(value).get(1, b"\0")[0]
        names = _STATES.get(kind, ())
        return names[number] if number < len(names) else str(number)
    return ""


def _number(data: bytes, most: int = _NUMBER_BYTES) -> int:
    """A number, its largest byte first. Raises ValueError if it has more bytes than `most`."""
    if len(data) > most:
        raise ValueError(f"a number of {len(data)} bytes")
    return int.from_bytes(data, "big")


def _pair(counters: list[Attributes], kind: int) -> tuple[int, int] | None:
    values = [_number(found[kind]) for found in counters if kind in found]
    return (values[0], values[1]) if len(values) == 2 else None


def pack_tuple(kind: int, value: Tuple) -> bytes:
    """A CTA_TUPLE_* attribute that names one flow's direction."""
    source, destination = (
        ipaddress.ip_address(value.source).packed,
        ipaddress.ip_address(value.destination).packed,
    )
    first = 1 if len(source) == 4 else 3
    address = nested(1, attribute(first, source), attribute(first + 1, destination))
    number = attribute(1, bytes([value.protocol]))
    if value.protocol in (1, 58):
        base = 4 if value.protocol == 1 else 7
        ports = [
            attribute(base, struct.pack(">H", value.sport)),
            attribute(base + 1, bytes([value.dport >> 8])),
        ]
        ports.append(attribute(base + 2, bytes([value.dport & 255])))
    else:
        ports = [attribute(2, struct.pack(">H", value.sport)), attribute(3, struct.pack(">H", value.dport))]
    return nested(kind, address, nested(2, number, *ports))


class Conntrack:
    """The conntrack table of the namespace in which this is made."""

    powers = True
    """Whether changes are requested with root's capabilities, else without any."""

    def __init__(self) -> None:
        self._netlink = Netlink(netlink.NETFILTER, receive_buffer=4 << 20)

    def close(self) -> None:
        """Closes the socket."""
        self._netlink.close()

    def request(
        self, kind: int, *body: bytes, family: int = 0, flags: int = netlink.ACK, subsystem: int = _CONNTRACK
    ) -> list[bytes]:
        """Sends one raw request and returns the payloads of the answer.

        For requests that no method below makes.
        """
        payload = struct.pack(">BBH", family, 0, 0) + b"".join(body)
        changes = kind in (NEW, DELETE)
        with linux.powerless() if changes and not self.powers else nullcontext():
            answer = self._netlink.ask(subsystem << 8 | kind, payload, flags)
        return [message.payload for message in answer]

    def flows(self, *body: bytes, family: int = 0, kind: int = GET) -> list[Flow]:
        """Every flow, ordered by its tuples.

        `body` may hold attributes by which the kernel filters (mark, zone, CTA_FILTER).
        """
        found = [
            parse_flow(payload) for payload in self.request(kind, *body, family=family, flags=netlink.DUMP)
        ]
        return sorted(
            found,
            key=lambda flow: (
                flow.zone,
                flow.orig.protocol,
                flow.orig.source,
                flow.orig.sport,
                str(flow.orig),
            ),
        )

    def count(self) -> int:
        """The number of entries that the namespace counts. Unlike a dump, reading it evicts
        nothing.
        """
        return int.from_bytes(attributes(self.request(GET_STATS)[0][4:])[1], "big")

    def statistics(self) -> dict[str, int]:
        """The statistics of the table, summed over CPUs; without names that the kernel does not
        report.
        """
        total: Counter[str] = Counter()
        for payload in self.request(GET_STATS_CPU, flags=netlink.DUMP):
            for kind, value in attributes(payload[4:]).items():
                if kind in _STATISTICS:
                    total[_STATISTICS[kind]] += int.from_bytes(value, "big")
        return dict(total)

    def delete(self, flow: Flow) -> None:
        """Deletes one flow."""
        zone = [attribute(ZONE, struct.pack(">H", flow.zone))] if flow.zone else []
        self.request(DELETE, pack_tuple(TUPLE_ORIG, flow.orig), *zone, family=Family.of(flow.orig.source).af)

    def flush(self, *body: bytes, family: int = 0) -> None:
        """Deletes every flow, or those the kernel selects by `body`."""
        self.request(DELETE, *body, family=family)

    def expectations(self) -> list[Attributes]:
        """Every expectation, as raw attributes."""
        payloads = self.request(GET, flags=netlink.DUMP, subsystem=_EXPECTATION)
        return [attributes(payload[4:]) for payload in payloads]


class Events:
    """A listener for flow events; receives events from its creation on."""

    GROUPS = 0x1 | 0x2 | 0x4  # new, update, destroy

    def __init__(self) -> None:
        self._netlink = Netlink(netlink.NETFILTER, groups=self.GROUPS, receive_buffer=4 << 20)

    def heard(self, seconds: float = 0.0) -> Iterator[tuple[str, Flow]]:
        """Events as NEW, UPDATE or DESTROY and the flow, until none comes for `seconds`."""
        for message in self._netlink.events(seconds):
            if message.type == _CONNTRACK << 8 | NEW:
                yield "NEW" if message.flags & netlink.CREATE else "UPDATE", parse_flow(message.payload)
            elif message.type == _CONNTRACK << 8 | DELETE:
                yield "DESTROY", parse_flow(message.payload)

    def close(self) -> None:
        """Stops listening."""
        self._netlink.close()
