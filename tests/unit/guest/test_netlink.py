from __future__ import annotations

import socket
import struct
from typing import Any

import pytest

from guest import netlink
from guest.netlink import Malformed, Message, attribute, attributes, messages, nested


def test_packed_attributes_are_padded_and_parse_to_the_same_values() -> None:
    row = attribute(1, b"abc") + attribute(2, 7) + attribute(3, "lo")
    assert len(row) % 4 == 0
    assert attributes(row) == {1: b"abc", 2: b"\x07\0\0\0", 3: b"lo\0"}


def test_a_nested_attribute_parses_under_its_type_without_the_flag() -> None:
    assert attributes(attributes(nested(5, attribute(1, b"x")))[5]) == {1: b"x"}


@pytest.mark.parametrize("data", [b"", b"\x01", b"\0\0\1\0", b"\3\0\1\0junk"])
def test_parsing_stops_at_a_malformed_attribute(data: bytes) -> None:
    assert attributes(data) == {}


def test_messages_follow_each_other_at_multiples_of_four() -> None:
    first, second = (struct.pack("=IHHII", 16 + size, 5, 2, size, 0) + bytes(size) for size in (3, 4))
    assert list(messages(first + b"\0" + second)) == [
        (3, Message(5, 2, bytes(3))),
        (4, Message(5, 2, bytes(4))),
    ]


@pytest.mark.parametrize("length", [0, 15])
def test_a_message_shorter_than_its_header_ends_the_reading(length: int) -> None:
    with pytest.raises(Malformed, match=f"has {length} bytes"):
        list(messages(struct.pack("=IHHII", length, 5, 2, 1, 0)))


def test_a_refused_netlink_request_raises_errno_and_explanation(kernel: dict[str, Any]) -> None:
    recorded = bytes.fromhex(kernel["refusal"])
    message = Message(2, int.from_bytes(recorded[6:8], "little"), recorded[16:])
    with pytest.raises(OSError, match="Invalid argument") as raised:
        netlink._raise_refusal(message)
    assert raised.value.errno == 22
    if len(recorded) > 36:  # this kernel explained itself
        assert "ipv4: Local address is not supplied" in str(raised.value)


def test_the_kernel_answers_a_netlink_request() -> None:
    links = netlink.Netlink(netlink.ROUTE)
    (answer,) = links.ask(18, bytes(16) + attribute(3, "lo"), 0)
    assert attributes(answer.payload[16:])[3] == b"lo\0"
    with pytest.raises(OSError, match="No such device"):
        links.ask(18, bytes(16) + attribute(3, "nosuch0"))
    links.close()


def _answering(*errors: tuple[int, int]) -> tuple[netlink.Netlink, socket.socket]:
    """A netlink socket whose kernel has already answered: sequence numbers, each with an errno."""
    asking = netlink.Netlink(netlink.ROUTE)
    asking.close()
    asking._socket, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sequence, error in errors:
        kernel.send(struct.pack("=IHHII", 20, 2, 0, sequence, 0) + struct.pack("=i", -error))
    return asking, kernel


def test_a_transaction_is_one_message_that_holds_its_requests_between_two_marks() -> None:
    asking, kernel = _answering((2, 0), (3, 17))
    with kernel:
        assert asking.transact(10, [(12, b"one", 0x400), (12, b"four", 0)]) == [0, 17]
        sent = list(messages(kernel.recv(1 << 16)))
    asking.close()
    assert [(number, one.type) for number, one in sent] == [(1, 16), (2, 0xA0C), (3, 0xA0C), (4, 17)]
    assert [one.flags for _, one in sent] == [0x1, 0x405, 0x5, 0x1]
    assert sent[0][1].payload == struct.pack(">BBH", 0, 0, 10)


def test_a_transaction_without_an_answer_to_each_request_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "WAIT_SECONDS", 0.01)
    asking, kernel = _answering((2, 0))
    with kernel, pytest.raises(TimeoutError, match="transaction"):
        asking.transact(10, [(12, b"one", 0), (12, b"two", 0)])
    asking.close()
