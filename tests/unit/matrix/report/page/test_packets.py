from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.utils import PcapWriter

from bench import generate
from matrix.report.page.packets import MOST_PACKETS, NotACaptureError, Packet, read_packets


def written(*packets: Any, **options: Any) -> bytes:
    """The packets as scapy writes a capture."""
    out = io.BytesIO()
    writer = PcapWriter(out, **options)
    for packet in packets:
        writer.write(packet)
    writer.flush()
    return out.getvalue()


def only(content: bytes) -> Packet:
    packets, more = read_packets(content)
    assert not more
    (packet,) = packets
    return packet


def test_a_syn_reads_as_one() -> None:
    packet = only(
        written(IP(src="198.18.0.2", dst="192.0.2.1") / TCP(sport=10000, dport=80, flags="S", seq=5))
    )
    assert packet == Packet(0.0, "", "198.18.0.2:10000", "192.0.2.1:80", "TCP", "SYN seq 5", 40)


def test_payload_and_acknowledgement_are_shown() -> None:
    packet = only(written(IP() / TCP(flags="PA", seq=1, ack=2) / b"hello"))
    assert packet.what == "PSH ACK seq 1 ack 2, 5 bytes"


def test_times_count_from_the_first_packet() -> None:
    packets, _ = read_packets(generate.capture(3))
    assert [packet.seconds for packet in packets] == [0.0, 0.001, 0.002]


@pytest.mark.parametrize("options", [{"endianness": ">"}, {"endianness": "<"}, {"nano": True}])
def test_every_byte_order_and_resolution(options: dict[str, Any]) -> None:
    assert only(written(IP() / UDP(sport=1, dport=2) / b"ab", **options))[2:6] == (
        "127.0.0.1:1",
        "127.0.0.1:2",
        "UDP",
        "2 bytes",
    )


def test_ethernet_ipv6_icmp_and_sctp() -> None:
    assert only(written(Ether() / IP(src="1.2.3.4") / ICMP(type=3, code=1)))[2:6] == (
        "1.2.3.4",
        "127.0.0.1",
        "ICMP",
        "unreachable, code 1",
    )
    assert (
        only(written(IPv6(src="2001:db8::1", dst="2001:db8::2") / ICMPv6EchoRequest())).what == "echo request"
    )
    assert (
        only(written(IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=5, dport=6))).source
        == "[2001:db8::1]:5"
    )
    assert only(written(IP() / SCTP(sport=1, dport=2) / SCTPChunkInit())).what == "INIT"


def test_fragments_say_where_they_belong() -> None:
    packets, _ = read_packets(written(*fragment(IP() / UDP() / (b"x" * 40), fragsize=24)))
    assert [packet.what for packet in packets] == ["16 bytes, fragment at 0, more follow", "fragment at 24"]


def test_a_long_capture_is_cut_and_says_so() -> None:
    packets, more = read_packets(generate.capture(MOST_PACKETS + 1))
    assert len(packets) == MOST_PACKETS
    assert more


def test_a_capture_that_was_cut_short_gives_what_it_holds() -> None:
    packets, more = read_packets(generate.capture(3)[:-5])
    assert (len(packets), more) == (2, False)


@pytest.mark.parametrize("content", [b"", b"\x0a\x0d\x0d\x0a" + b"\0" * 40, b"\xd4\xc3\xb2\xa1", b"<script>"])
def test_what_is_no_capture_is_refused(content: bytes) -> None:
    with pytest.raises(NotACaptureError):
        read_packets(content)


@given(
    st.sampled_from([1, 12, 101, 113, 228, 276, 9999]),
    st.lists(st.binary(max_size=80), max_size=4),
    st.binary(max_size=20),
)
def test_no_packet_of_a_guest_breaks_the_reader(link: int, packets: list[bytes], tail: bytes) -> None:
    content = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    for packet in packets:
        content += struct.pack("<IIII", 2**32 - 1, 2**32 - 1, len(packet), 2**32 - 1) + packet
    found, _ = read_packets(content + tail)
    assert len(found) >= len(packets)


@given(
    st.binary(max_size=60), st.sampled_from([0x45, 0x4F, 0x60]), st.sampled_from([0, 6, 17, 43, 44, 58, 132])
)
def test_nor_does_one_that_looks_right_at_first(rest: bytes, first: int, protocol: int) -> None:
    packet = bytearray((bytes([first]) + rest).ljust(20, b"\0"))
    packet[6 if first == 0x60 else 9] = protocol
    content = (
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
        + struct.pack("<IIII", 0, 0, len(packet), len(packet))
        + packet
    )
    assert len(read_packets(content)[0]) == 1


def test_a_cooked_capture_says_through_which_interface() -> None:
    came, went = (
        CookedLinuxV2(proto=0x0800, ifindex=2, pkttype=0),
        CookedLinuxV2(proto=0x0800, ifindex=3, pkttype=4),
    )
    packets, _ = read_packets(
        written(*(header / IP() / UDP(sport=1, dport=2) for header in (came, went)), linktype=276)
    )
    assert [(packet.place, packet.source) for packet in packets] == [
        ("in 2", "127.0.0.1:1"),
        ("out 3", "127.0.0.1:1"),
    ]
    packets, _ = read_packets(written(CookedLinux(proto=0x0800, pkttype=4) / IP() / UDP(), linktype=113))
    assert [packet.place for packet in packets] == ["out"]
