from __future__ import annotations

from typing import Any

import pytest

from guest.lab import packets
from guest.lab.router import LOST, STATES, Router, state_of


class Wire:
    """Stands in for a tun: remembers what it was given; `answers` is what the kernel would send on the other side."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.waiting: list[bytes] = []

    def send(self, packet: Any) -> None:
        self.sent.append(packet)

    def read(self) -> list[bytes]:
        waiting, self.waiting = self.waiting, []
        return waiting


def router() -> tuple[Router, Wire, Wire]:
    client, server = Wire(), Wire()
    return Router(client, server, ("10.0.1.2", "10.0.2.2")), client, server  # type: ignore[arg-type]


def numbers(wire: Wire) -> list[tuple[str, int, int]]:
    return [(str(packet["TCP"].flags), packet["TCP"].seq, packet["TCP"].ack) for packet in wire.sent]


def test_a_handshake_is_numbered_as_stacks_do() -> None:
    made, client, server = router()
    one, other = made.handshake()
    one.data(100)
    other.ack()
    one.fin()
    other.fin()
    one.ack()
    assert numbers(client) == [("S", 1000, 0), ("A", 1001, 5001), ("PA", 1001, 5001), ("FA", 1101, 5001), ("A", 1102, 5002)]
    assert numbers(server) == [("SA", 5000, 1001), ("A", 5001, 1101), ("FA", 5001, 1102)]


def test_a_number_of_ones_own_does_not_move_the_numbering() -> None:
    made, client, _ = router()
    one, _ = made.handshake()
    before = one.next
    one.syn(seq=777000)
    one.rst(seq=1)
    assert one.next == before
    assert numbers(client)[-2:] == [("S", 777000, 0), ("R", 1, 0)]


def test_a_packet_that_does_not_come_out_is_lost() -> None:
    made, _, _ = router()
    assert made.from_client(packets.udp("10.0.1.2:1", "10.0.2.2:2")) == LOST


@pytest.mark.parametrize("state", STATES)
def test_the_state_is_read_from_the_dscp_field(state: str) -> None:
    four = packets.udp("10.0.1.2:1", "10.0.2.2:2")
    four.tos = STATES[state] << 2
    six = packets.udp("[2001:db8::1]:1", "[2001:db8::2]:2")
    six.tc = STATES[state] << 2
    assert state_of(bytes(four)) == state_of(bytes(six)) == state


def test_leftovers_of_an_earlier_packet_are_not_taken_for_this_one() -> None:
    made, _, server = router()
    server.waiting = [bytes(packets.udp("10.0.1.2:1", "10.0.2.2:2"))]
    assert made.from_client(packets.udp("10.0.1.2:1", "10.0.2.2:2")) == LOST
    assert made.out == []
