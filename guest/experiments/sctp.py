"""SCTP: states, heartbeats, and INIT chunks that come again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guest.catalogue import Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import Packet, endpoint
from guest.lab.router import Router

_CLIENT, _SERVER = "10.0.1.2", ("10.0.2.2", 36412)
_CLIENT_TAG, _SERVER_TAG = 0x1111, 0x2222


class _Association:
    """Both ends of an SCTP association through the router; the client's port is `port`."""

    def __init__(self, lab: Lab, router: Router, port: int = 40000) -> None:
        self._lab = lab
        self._client = (_CLIENT, port)
        self._ways: dict[str, tuple[Callable[[Packet], str], int]] = {
            "client": (router.from_client, _SERVER_TAG),
            "server": (router.from_server, _CLIENT_TAG),
        }

    def send(self, who: str, chunk: Any, tag: int | None = None) -> str:
        """Sends a chunk with the receiver's verification tag, or another."""
        from scapy.layers.inet import IP
        from scapy.layers.sctp import SCTP

        way, usual = self._ways[who]
        ends = (self._client, _SERVER) if who == "client" else (_SERVER, self._client)
        (source, sport), (destination, dport) = ends
        return way(
            IP(src=source, dst=destination)
            / SCTP(sport=sport, dport=dport, tag=usual if tag is None else tag)
            / chunk
        )

    def rung(self) -> str:
        """State and timeout of the entry."""
        flow = self._lab.flow(endpoint(*self._client))
        return f"{flow.state} {flow.lifetime}" if flow else "gone"


def _init(tag: int, acknowledge: bool = False) -> Any:
    from scapy.layers.sctp import SCTPChunkInit, SCTPChunkInitAck

    kind = SCTPChunkInitAck if acknowledge else SCTPChunkInit
    return kind(init_tag=tag, a_rwnd=65535, n_out_streams=1, n_in_streams=1, init_tsn=1)


def _established(lab: Lab, router: Router, port: int = 40000) -> _Association:
    from scapy.layers.sctp import SCTPChunkCookieAck, SCTPChunkCookieEcho

    association = _Association(lab, router, port)
    association.send("client", _init(_CLIENT_TAG), 0)
    association.send("server", _init(_SERVER_TAG, acknowledge=True))
    association.send("client", SCTPChunkCookieEcho(cookie=b"cookie12"))
    association.send("server", SCTPChunkCookieAck())
    return association


@experiment(
    facts=[
        Fact(
            "ladder",
            list,
            "per packet of a whole association: its conntrack state, the entry's SCTP state and timeout",
        ),
        Fact("abort", str, "what the entry is left with after an ABORT on an established association"),
        Fact("wrong_tag", str, "conntrack state of data with a wrong verification tag"),
        Fact("wrong_checksum", str, "conntrack state of an INIT with a wrong CRC32c"),
        Fact("lone_data", str, "conntrack state of data on an association the router does not know"),
    ],
)
def sctp_states(lab: Lab) -> FactDict:
    """Through which states and timeouts does an SCTP entry go?

    INIT, INIT ACK, COOKIE ECHO, COOKIE ACK, DATA, SACK, SHUTDOWN, SHUTDOWN ACK, SHUTDOWN COMPLETE;
    then an association that is aborted and packets that are wrong. Signalling networks (S1, N2,
    Diameter) depend on the timeout of an established association outliving silence.
    """
    from scapy.layers.inet import IP
    from scapy.layers.sctp import (
        SCTP,
        SCTPChunkAbort,
        SCTPChunkCookieAck,
        SCTPChunkCookieEcho,
        SCTPChunkData,
        SCTPChunkSACK,
        SCTPChunkShutdown,
        SCTPChunkShutdownAck,
        SCTPChunkShutdownComplete,
    )

    router = lab.router()
    association = _Association(lab, router)
    script: list[tuple[str, str, Any, int | None]] = [
        ("INIT", "client", _init(_CLIENT_TAG), 0),
        ("INIT ACK", "server", _init(_SERVER_TAG, acknowledge=True), None),
        ("COOKIE ECHO", "client", SCTPChunkCookieEcho(cookie=b"cookie12"), None),
        ("COOKIE ACK", "server", SCTPChunkCookieAck(), None),
        ("DATA", "client", SCTPChunkData(data=b"data", tsn=1, beginning=1, ending=1), None),
        ("SACK", "server", SCTPChunkSACK(cumul_tsn_ack=1, a_rwnd=65535), None),
        ("SHUTDOWN", "client", SCTPChunkShutdown(cumul_tsn_ack=1), None),
        ("SHUTDOWN ACK", "server", SCTPChunkShutdownAck(), None),
        ("SHUTDOWN COMPLETE", "client", SCTPChunkShutdownComplete(), None),
    ]
    ladder = [
        f"{name}: {association.send(who, chunk, tag)}, {association.rung()}"
        for name, who, chunk, tag in script
    ]
    data = SCTPChunkData(data=b"data", tsn=1, beginning=1, ending=1)
    facts: FactDict = {"ladder": ladder}
    lab.conntrack.flush()
    facts["lone_data"] = association.send("client", data)
    wrong = bytearray(
        bytes(IP(src="10.0.1.3", dst="10.0.2.2") / SCTP(sport=40000, dport=36412, tag=0) / _init(_CLIENT_TAG))
    )
    wrong[-1] ^= 1
    facts["wrong_checksum"] = router.from_client(bytes(wrong))
    lab.conntrack.flush()
    for _, who, chunk, tag in script[:4]:
        association.send(who, chunk, tag)
    facts["wrong_tag"] = association.send("client", data, 0x7777)
    association.send("server", SCTPChunkAbort())
    return facts | {"abort": association.rung()}


@experiment(
    facts=[
        Fact(
            "alone",
            str,
            "conntrack state of a heartbeat on a path the router has seen nothing of, and the entry it makes",
        ),
        Fact("answered", str, "conntrack state of its acknowledgement, and the entry"),
        Fact("data", str, "conntrack state of data after that, and the entry"),
        Fact(
            "wrong_tag",
            str,
            "conntrack state of a second heartbeat with another verification tag, on a new path",
        ),
        Fact("assured", bool, "whether the entry is assured after the data"),
    ],
)
def sctp_heartbeat(lab: Lab) -> FactDict:
    """Does a heartbeat open a secondary path through the router?

    A multihomed association uses its second path only with heartbeats, later with data; the router
    of that path sees no INIT.
    """
    from scapy.layers.sctp import SCTPChunkData, SCTPChunkHeartbeatAck, SCTPChunkHeartbeatReq

    association = _Association(lab, lab.router())
    facts: FactDict = {}
    steps: list[tuple[str, str, Any]] = [
        ("alone", "client", SCTPChunkHeartbeatReq()),
        ("answered", "server", SCTPChunkHeartbeatAck()),
        ("data", "client", SCTPChunkData(data=b"data", tsn=1, beginning=1, ending=1)),
    ]
    for name, who, chunk in steps:
        facts[name] = f"{association.send(who, chunk)}, {association.rung()}"
    facts["assured"] = lab.flow("10.0.1.2:40000").assured
    lab.conntrack.flush()
    association.send("client", SCTPChunkHeartbeatReq())
    return facts | {"wrong_tag": association.send("client", SCTPChunkHeartbeatReq(), 0x7777)}


@experiment(
    facts=[
        Fact("init", str, "conntrack state of the second INIT"),
        Fact("between", str, "state and timeout of the entry after it"),
        Fact("rest", list, "conntrack state of INIT ACK, COOKIE ECHO and COOKIE ACK of the new attempt"),
        Fact("entry", str, "state and timeout of the entry after these"),
        Fact(
            "old_data",
            list,
            "conntrack state of data of another such association, from either side, after a second INIT that"
            " nothing follows",
        ),
        Fact("old_entry", str, "state and timeout of its entry after these"),
    ],
    invariants=[
        Invariant(
            "an association that starts again is established, and none of its packets INVALID",
            lambda facts, variant: (
                {facts["init"], *facts["rest"], facts["entry"].split()[0]} == {"ESTABLISHED"}
            ),
        )
    ],
    variants={"by": ("client", "server")},
)
def sctp_init_collision(lab: Lab) -> FactDict:
    """Does an INIT on an established association leave the entry usable?

    An endpoint that restarted sends INIT with a new tag, and the association starts again. On a
    second association a stale INIT arrives late and the association continues. The tags that the
    router remembers decide which packets are INVALID.
    """
    from scapy.layers.sctp import SCTPChunkCookieAck, SCTPChunkCookieEcho, SCTPChunkData

    router = lab.router()
    association = _established(lab, router)
    opener, other = ("client", "server") if lab.variant["by"] == "client" else ("server", "client")
    facts: FactDict = {
        "init": association.send(opener, _init(0x3333), 0),
        "between": association.rung(),
        "rest": [
            association.send(other, _init(0x4444, acknowledge=True), 0x3333),
            association.send(opener, SCTPChunkCookieEcho(cookie=b"cookie12"), 0x4444),
            association.send(other, SCTPChunkCookieAck(), 0x3333),
        ],
        "entry": association.rung(),
    }
    old = _established(lab, router, 40001)
    old.send(opener, _init(0x3333), 0)
    data = SCTPChunkData(data=b"data", tsn=1, beginning=1, ending=1)
    facts["old_data"] = [old.send(opener, data), old.send(other, data)]
    return facts | {"old_entry": old.rung()}


@experiment(
    facts=[
        Fact(
            "init",
            str,
            "conntrack state of the client's own INIT, which comes again on the established association",
        ),
        Fact("answer", str, "conntrack state of the INIT ACK that answers it, which announces another tag"),
        Fact("old_data", list, "conntrack states of data of the association, from either side, after that"),
    ],
)
def sctp_stale_init(lab: Lab) -> FactDict:
    """Does a delayed duplicate of the first INIT, and its answer, break an established association?

    The server answers the duplicate with an INIT ACK as RFC 9260 (5.2.2) demands, with a tag that
    is never used, since the client drops it. For a router that adopts the tag, all that the client
    sends from then on is INVALID.
    """
    from scapy.layers.sctp import SCTPChunkData

    association = _established(lab, lab.router())
    data = SCTPChunkData(data=b"data", tsn=1, beginning=1, ending=1)
    facts: FactDict = {"init": association.send("client", _init(_CLIENT_TAG), 0)}
    facts["answer"] = association.send("server", _init(0x5555, acknowledge=True))
    return facts | {"old_data": [association.send("client", data), association.send("server", data)]}


@experiment(
    facts=[
        Fact("steps", list, "per packet: its conntrack state, the entry's state and timeout after it"),
        Fact("data", list, "conntrack states of data from either side, afterwards"),
    ],
)
def sctp_crossing_init(lab: Lab) -> FactDict:
    """Do two INITs that cross each other end in one association whose data pass?

    Both ends begin at once (RFC 9260, 5.2.1). The client answers the server's INIT, the cookie goes
    through, and only then the server's INIT ACK to the client's INIT arrives, with a tag that is
    never used.
    """
    from scapy.layers.sctp import SCTPChunkCookieAck, SCTPChunkCookieEcho, SCTPChunkData

    association = _Association(lab, lab.router())
    script: list[tuple[str, str, Any, int | None]] = [
        ("INIT", "client", _init(_CLIENT_TAG), 0),
        ("crossing INIT", "server", _init(_SERVER_TAG), 0),
        ("INIT ACK", "client", _init(_CLIENT_TAG, acknowledge=True), None),
        ("COOKIE ECHO", "server", SCTPChunkCookieEcho(cookie=b"cookie12"), None),
        ("COOKIE ACK", "client", SCTPChunkCookieAck(), None),
        ("late INIT ACK", "server", _init(0x5555, acknowledge=True), None),
    ]
    steps = [
        f"{name}: {association.send(who, chunk, tag)}, {association.rung()}"
        for name, who, chunk, tag in script
    ]
    data = SCTPChunkData(data=b"data", tsn=1, beginning=1, ending=1)
    return {"steps": steps, "data": [association.send("client", data), association.send("server", data)]}
