from __future__ import annotations

from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Ether

from guest.lab.ethernet import CLIENT, SERVER, Machine, frame, hardware
from guest.lab.packets import udp


def test_a_frame_goes_from_the_client_to_the_server_unless_told_otherwise() -> None:
    there = Ether(frame(udp("10.0.0.1:1", "10.0.0.2:2")))
    back = Ether(frame(udp("[2001:db8::2]:2", "[2001:db8::1]:1"), SERVER, CLIENT))
    assert (there.src, there.dst, there.type) == (CLIENT, SERVER, 0x0800)
    assert (back.src, back.dst, back.type) == (SERVER, CLIENT, 0x86DD)


def test_a_hardware_address_is_six_bytes() -> None:
    assert hardware(SERVER) == b"\2\0\0\0\0\2"


class Wire:
    """A tap that holds frames for the machine and keeps what it sends."""

    def __init__(self, *frames: bytes) -> None:
        self.waiting = [list(frames)]
        self.sent: list[bytes] = []

    def read(self) -> list[bytes]:
        return self.waiting.pop() if self.waiting else []

    def send(self, data: bytes) -> None:
        self.sent.append(data)


def machine(address: str, near: str, *frames: bytes) -> tuple[Machine, Wire]:
    made, wire = Machine.__new__(Machine), Wire(*frames)
    made.__dict__ |= {"wire": wire, "address": address, "hardware": SERVER, "asked": 0}
    made.__dict__ |= {"_near": near, "_router": CLIENT}
    return made, wire


def test_a_machine_answers_ARP_for_its_address_and_for_no_other() -> None:
    questions = [frame(ARP(op=1, psrc="10.0.2.1", pdst=f"10.0.2.{host}")) for host in (2, 3)]
    made, wire = machine("10.0.2.2", "10.0.2.1", *questions)
    assert made.receive() == []
    (answer,) = map(Ether, wire.sent)
    assert (answer.dst, answer.op, answer.hwsrc, answer.psrc, answer.pdst) == (
        CLIENT,
        2,
        SERVER,
        "10.0.2.2",
        "10.0.2.1",
    )
    assert made.asked == 1


def test_a_machine_answers_neighbour_discovery() -> None:
    question = IPv6(src="2001:db8:2::1", dst="ff02::1:ff00:2") / ICMPv6ND_NS(tgt="2001:db8:2::2")
    made, wire = machine("2001:db8:2::2", "2001:db8:2::1", frame(question))
    made.receive()
    (answer,) = map(Ether, wire.sent)
    assert (answer[IPv6].dst, answer.tgt, answer.lladdr, made.asked) == (
        "2001:db8:2::1",
        "2001:db8:2::2",
        SERVER,
        1,
    )


def test_a_machine_says_to_which_hardware_address_a_packet_came() -> None:
    packet = udp("10.0.1.2:1", "10.0.2.2:2")
    made, _ = machine("10.0.2.2", "10.0.2.1", frame(packet, CLIENT, "02:00:00:00:00:07"))
    assert made.receive() == [(hardware("02:00:00:00:00:07"), bytes(packet))]
