from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator

import pytest

from guest.lab import packets
from guest.lab.tun import Tun
from guest.observe.pcap import Captured

# a hop-by-hop header follows, as in every multicast listener report
REPORT = b"\x60\0\0\0\0\x24\0\x01" + bytes(68)
OURS = bytes(packets.udp("[2001:db8:1::2]:40000", "[2001:db8:2::2]:53"))


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What the kernel writes to the device that is opened next."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    monkeypatch.setattr(os, "open", lambda path, flags: theirs.detach())
    monkeypatch.setattr(fcntl, "ioctl", lambda *arguments: 0)
    monkeypatch.setattr(socket, "if_nametoindex", lambda name: 3)
    yield mine
    mine.close()


@pytest.mark.parametrize(("tap", "read"), [(False, [OURS]), (True, [REPORT, OURS])])
def test_multicast_listener_reports_are_captured_and_not_read(
    wire: socket.socket, tap: bool, read: list[bytes]
) -> None:
    captured: list[Captured] = []
    tun = Tun("tun0", captured.append, tap=tap)
    wire.send(REPORT)
    wire.send(OURS)
    assert tun.read() == read
    assert [packet.data for packet in captured] == [REPORT, OURS]
    tun.close()
