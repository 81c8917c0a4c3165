from __future__ import annotations

from scapy.layers.l2 import Ether

from guest.lab.ethernet import CLIENT, SERVER, frame, hardware
from guest.lab.packets import udp


def test_a_frame_goes_from_the_client_to_the_server_unless_told_otherwise() -> None:
    there = Ether(frame(udp("10.0.0.1:1", "10.0.0.2:2")))
    back = Ether(frame(udp("[2001:db8::2]:2", "[2001:db8::1]:1"), SERVER, CLIENT))
    assert (there.src, there.dst, there.type) == (CLIENT, SERVER, 0x0800)
    assert (back.src, back.dst, back.type) == (SERVER, CLIENT, 0x86DD)


def test_a_hardware_address_is_six_bytes() -> None:
    assert hardware(SERVER) == b"\2\0\0\0\0\2"
