from __future__ import annotations

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
