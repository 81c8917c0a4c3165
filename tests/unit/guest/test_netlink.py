from __future__ import annotations

from typing import Any

import pytest

from guest import netlink
from guest.netlink import Message, attribute, attributes, nested


def test_packed_attributes_are_padded_and_parse_to_the_same_values() -> None:
    row = attribute(1, b"abc") + attribute(2, 7) + attribute(3, "lo")
    assert len(row) % 4 == 0
    assert attributes(row) == {1: b"abc", 2: b"\x07\0\0\0", 3: b"lo\0"}


def test_a_nested_attribute_parses_under_its_type_without_the_flag() -> None:
    assert attributes(attributes(nested(5, attribute(1, b"x")))[5]) == {1: b"x"}


@pytest.mark.parametrize("data", [b"", b"\x01", b"\0\0\1\0", b"\3\0\1\0junk"])
def test_parsing_stops_at_a_malformed_attribute(data: bytes) -> None:
    assert attributes(data) == {}


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
