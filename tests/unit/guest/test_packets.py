from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from guest.lab import packets


@pytest.mark.parametrize(
    ("endpoint", "parts"),
    [
        ("10.0.1.2:40000", ("10.0.1.2", 40000)),
        ("10.0.1.2", ("10.0.1.2", 0)),
        ("[2001:db8::1]:53", ("2001:db8::1", 53)),
        ("2001:db8::1", ("2001:db8::1", 0)),
    ],
)
def test_an_endpoint_splits_into_address_and_port_and_back(endpoint: str, parts: tuple[str, int]) -> None:
    assert packets.split(endpoint) == parts
    assert packets.split(packets.endpoint(*parts)) == parts


def test_a_neighbour_is_in_the_same_network() -> None:
    assert (packets.neighbour("10.0.1.2", 30), packets.neighbour("2001:db8:1::2", 3)) == (
        "10.0.1.30",
        "2001:db8:1::3",
    )


def test_a_TCP_segment_has_the_requested_fields() -> None:
    segment = IP(
        bytes(packets.tcp("10.0.1.2:40000", "10.0.2.2:80", "PA", seq=-1, ack=7, data=b"xyz", window=9))
    )
    assert (segment.src, segment[TCP].sport, segment[TCP].dport) == ("10.0.1.2", 40000, 80)
    assert (str(segment[TCP].flags), segment[TCP].seq, segment[TCP].ack, segment[TCP].window) == (
        "PA",
        0xFFFFFFFF,
        7,
        9,
    )
    assert bytes(segment[TCP].payload) == b"xyz"


@pytest.mark.parametrize(
    "template",
    [
        packets.tcp("198.18.0.2:1", "192.0.2.1:80"),
        packets.udp("198.18.0.2:1", "192.0.2.1:80", b"odd"),
        packets.tcp("[2001:db8::1]:1", "[2001:db8::2]:80"),
        packets.udp("[2001:db8::1]:1", "[2001:db8::2]:80", b"odd"),
    ],
)
def test_many_ports_have_right_checksums(template: packets.Packet) -> None:
    numbers = [0, 1, 2, 80, 255, 256, 40000, 65535]
    for port, made in zip(numbers, packets.with_ports(template, numbers), strict=True):
        rebuilt = packets.parse(made)
        layer = rebuilt[TCP] if TCP in rebuilt else rebuilt[UDP]
        assert layer.sport == port
        checksum, layer.chksum = layer.chksum, None
        assert packets.parse(bytes(rebuilt)).payload.chksum == checksum
        assert packets.ports(made) == (port, 80)
        # A checksum that is put elsewhere in the packet may make its sum right all the same.
        layer.chksum = None
        layer.sport = packets.parse(bytes(template)).payload.sport
        assert bytes(rebuilt) == bytes(template)


def test_the_family_of_a_packet_is_that_of_its_addresses() -> None:
    assert isinstance(packets.parse(bytes(packets.udp("[2001:db8::1]:5", "[2001:db8::2]:53"))), IPv6)
    assert packets.ports(bytes(packets.udp("[2001:db8::1]:5", "[2001:db8::2]:53"))) == (5, 53)
    assert packets.parse(bytes(packets.protocol("2001:db8::1", "2001:db8::2", 253, b"data"))).nh == 253
    assert packets.parse(bytes(packets.protocol("10.0.0.1", "10.0.0.2", 47))).proto == 47


@pytest.mark.parametrize(
    ("source", "destination"), [("10.0.1.2", "10.0.2.2"), ("2001:db8:1::2", "2001:db8:2::2")]
)
def test_fragments_make_up_the_datagram_in_any_order(source: str, destination: str) -> None:
    whole = bytes(range(256)) * 4
    places = [(0, 400), (400, 800), (800, 1024)]
    pieces = [bytes(packets.fragment(source, destination, 7, whole, *place)) for place in places]
    assert packets.joined(reversed(pieces)) == whole
    assert packets.joined(pieces[1:]) == b""
    assert packets.joined([pieces[0], pieces[2]]) == b""


def test_a_packet_that_is_no_fragment_is_joined_from_itself() -> None:
    packet = bytes(packets.udp("[2001:db8::1]:1", "[2001:db8::2]:2", b"data"))
    assert packets.joined([packet]) == packet[40:]
