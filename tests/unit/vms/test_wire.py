from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.floods import WAYS, sending
from vms.deadline import Deadline
from vms.wire import Spent, Wire

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def read_all(wire: Wire) -> None:
    while wire.recv(1 << 16):
        pass


@pytest.mark.parametrize("way", WAYS)
def test_reading_ends_at_the_deadline_whatever_arrives(pair: Pair, way: str) -> None:
    wire = Wire(pair[0], 1 << 40, Deadline(0.4, "a flood"))
    began = time.monotonic()
    with sending(pair[1], way), pytest.raises(Spent, match=r"did not answer within 0\.4 s \(a flood\)"):
        read_all(wire)
    assert 0.3 < time.monotonic() - began < 30


def test_reading_ends_after_the_most_bytes(pair: Pair) -> None:
    wire = Wire(pair[0], 1 << 20, Deadline(20, "a flood"))
    with sending(pair[1], "flood"), pytest.raises(Spent, match=r"sent more than 1 MiB \(a flood\)"):
        read_all(wire)
    assert wire.spent == "sent more than 1 MiB (a flood)"


def test_exactly_the_most_bytes_may_be_read(pair: Pair) -> None:
    wire = Wire(pair[0], 3, Deadline(20, "three bytes"))
    pair[1].sendall(b"abc")
    pair[1].shutdown(socket.SHUT_WR)
    assert wire.recv(10) == b"abc"
    assert wire.recv(10) == b""


def test_peeking_takes_nothing_from_the_most_bytes(pair: Pair) -> None:
    wire = Wire(pair[0], 3, Deadline(20, "three bytes"))
    pair[1].sendall(b"abc")
    assert wire.peek(10) == wire.peek(10) == b"abc"
    assert wire.recv(10) == b"abc"


def test_sending_ends_at_the_deadline_when_the_guest_does_not_read(pair: Pair) -> None:
    wire = Wire(pair[0], 1, Deadline(0.3, "a request"))
    with pytest.raises(Spent, match=r"did not read what it was sent within 0\.3 s \(a request\)"):
        wire.sendall(b"x" * (64 << 20))


def test_a_timeout_of_its_own_does_not_spend_the_wire(pair: Pair) -> None:
    wire = Wire(pair[0], 10, Deadline(20, "a word"))
    wire.settimeout(0.05)
    with pytest.raises(TimeoutError):
        wire.recv(1)
    pair[1].sendall(b"x")
    assert wire.recv(1) == b"x"
    assert not wire.spent


def test_a_spent_wire_stays_spent_with_a_new_deadline(pair: Pair) -> None:
    wire = Wire(pair[0], 10, Deadline(0, "the first"))
    with pytest.raises(Spent):
        wire.recv(1)
    wire.deadline = Deadline(20, "the second")
    pair[1].sendall(b"x")
    with pytest.raises(Spent, match="the first"):
        wire.recv(1)


def test_a_wire_ends_early_once_nothing_more_can_be_expected() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours, 10, Deadline(60, "an answer"), lambda: "cannot answer")
        began = time.monotonic()
        with pytest.raises(Spent, match=r"cannot answer \(an answer\)"):
            wire.recv(10)
        assert time.monotonic() - began < 30
