from __future__ import annotations

from typing import Any

from guest.family import Family
from guest.lab import packets
from guest.lab.router import LOST, STATES, Router
from guest.observe.nft_counters import parse_counter


class Wire:
    """Stands in for a tun: remembers what it was given, and has `answers` to read once something
    was sent.
    """

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.waiting: list[bytes] = []
        self.answers: list[bytes] = []
        self.handed = 0
        self.reads = 0

    def send(self, packet: Any) -> None:
        self.sent.append(packet)
        self.handed += 1

    def read(self) -> list[bytes]:
        # The first reading clears what is left over, the second follows the packet.
        self.reads += 1
        waiting, self.waiting = self.waiting, []
        return waiting + (self.answers if self.reads % 2 == 0 else [])


def router() -> tuple[Router, Wire, Wire]:
    client, server = Wire(), Wire()
    return Router(client, server, Family.IPV4), client, server  # type: ignore[arg-type]


def numbers(wire: Wire) -> list[tuple[str, int, int]]:
    return [(str(packet["TCP"].flags), packet["TCP"].seq, packet["TCP"].ack) for packet in wire.sent]


def test_a_UDP_packet_and_its_answer_belong_to_one_flow_in_either_family() -> None:
    for family, names in (
        (Family.IPV4, ("10.0.1.2", "10.0.2.2")),
        (Family.IPV6, ("2001:db8:1::2", "2001:db8:2::2")),
    ):
        question, answer = Router(Wire(), Wire(), family).udp(40000, 53)  # type: ignore[arg-type]
        assert [(question.src, question.sport), (question.dst, question.dport)] == [
            (names[0], 40000),
            (names[1], 53),
        ]
        assert [(answer.src, answer.sport), (answer.dst, answer.dport)] == [(names[1], 53), (names[0], 40000)]


def test_a_conversation_numbers_its_segments_as_TCP_stacks_do() -> None:
    made, client, server = router()
    one, other = made.handshake()
    one.data(100)
    other.ack()
    one.fin()
    other.fin()
    one.ack()
    assert numbers(client) == [
        ("S", 1000, 0),
        ("A", 1001, 5001),
        ("PA", 1001, 5001),
        ("FA", 1101, 5001),
        ("A", 1102, 5002),
    ]
    assert numbers(server) == [("SA", 5000, 1001), ("A", 5001, 1101), ("FA", 5001, 1102)]


def test_explicit_seq_does_not_advance_the_peer() -> None:
    made, client, _ = router()
    one, _ = made.handshake()
    before = one.seq
    one.syn(seq=777000)
    one.rst(seq=1)
    assert one.seq == before
    assert numbers(client)[-2:] == [("S", 777000, 0), ("R", 1, 0)]


def test_a_packet_that_does_not_leave_the_router_is_lost() -> None:
    made, _, _ = router()
    assert made.from_client(packets.udp("10.0.1.2:1", "10.0.2.2:2")) == LOST


class Counters:
    """Stands in for the kernel's counters: each reading is one more packet under one state."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.counted = dict.fromkeys(STATES, 0)

    def packets(self) -> dict[str, int]:
        if self.states:
            self.counted[self.states.pop(0)] += 1
        return dict(self.counted)


def test_the_state_of_a_packet_is_that_of_the_counter_that_moved() -> None:
    client, server = Wire(), Wire()
    made = Router(client, server, Family.IPV4, Counters("NEW", "INVALID"))  # type: ignore[arg-type]
    packet = packets.udp("10.0.1.2:1", "10.0.2.2:2")
    server.answers = [bytes(packet)]
    assert made.from_client(packet) == "NEW"
    assert made.from_client(packet) == "INVALID"
    assert made.from_client(packet) == "", "forwarded past the rules that count"


def test_counts_of_packets_sent_directly_through_a_tun_are_skipped() -> None:
    client, server = Wire(), Wire()
    made = Router(client, server, Family.IPV4, Counters("INVALID", "NEW"))  # type: ignore[arg-type]
    packet = packets.udp("10.0.1.2:1", "10.0.2.2:2")
    client.send(packet)
    server.answers = [bytes(packet)]
    assert made.from_client(packet) == "NEW"


def test_a_held_packet_is_reported_once_it_has_left() -> None:
    client, server = Wire(), Wire()
    made = Router(client, server, Family.IPV4, Counters("NEW"))  # type: ignore[arg-type]
    server.waiting = [b"\x45held"]
    assert made.late(server) == "NEW"  # type: ignore[arg-type]
    assert made.out == [b"\x45held"]


def test_a_recorded_dump_of_nft_counters_parses(kernel: dict[str, Any]) -> None:
    assert dict(parse_counter(bytes.fromhex(payload)) for payload in kernel["counters"])["x"] > 0


def test_packets_left_over_from_an_earlier_one_are_not_taken_for_the_next() -> None:
    made, _, server = router()
    server.waiting = [bytes(packets.udp("10.0.1.2:1", "10.0.2.2:2"))]
    assert made.from_client(packets.udp("10.0.1.2:1", "10.0.2.2:2")) == LOST
    assert made.out == []
