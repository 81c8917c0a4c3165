"""How fast packets get into a guest's kernel, and a large table filled and read.

The question is about durations, so they are facts.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from guest import netlink
from guest.catalogue import Fact, FactDict, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.packets import udp, with_ports
from guest.netlink import Netlink

_PACKETS = 20_000
_FLOWS = 262_144
_PORTS = 32_768
_FRAME, _FRAMES = 128, 2048
_BLOCK = 1 << 16
# include/uapi/linux/if_packet.h
_SOL_PACKET, _VERSION, _TX_RING, _QDISC_BYPASS, _V2 = 263, 10, 13, 20, 1
_SEND_REQUEST, _DATA = 1, 32  # tp_status; struct tpacket2_hdr, aligned
_SIOCGIFHWADDR = 0x8927
_CONNTRACK_GET = 1 << 8 | 1  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET


@experiment(
    facts=[
        Fact("syscall_ns", int, "one write of a packet's bytes to /dev/null"),
        Fact(
            "write_ns",
            int,
            "one packet handed to the kernel by one write to a tun, and dropped in raw PREROUTING",
        ),
        Fact(
            "ring_ns",
            int,
            "the same out of a ring shared with the kernel (PACKET_TX_RING), through a veth pair, 2048"
            " packets a call",
        ),
        Fact("ring_packets", int, "how many of those arrived"),
    ],
    seconds=300,
)
def injecting(lab: Lab) -> FactDict:
    """How fast can packets be handed to the kernel?

    All packets are the same prepared UDP datagram. A rule drops them before anything else happens
    to them.
    """
    wire = lab.host()
    lab.iptables("*raw\n-A PREROUTING -m comment --comment all -j DROP")
    packets = [bytes(udp("198.18.0.2:10000", "192.0.2.1:80"))] * _PACKETS
    with Path("/dev/null").open("wb", buffering=0) as null:
        nowhere = null.fileno()
        syscall = _per_packet(lambda: [os.write(nowhere, packet) for packet in packets])
    write = _per_packet(lambda: wire.flood(packets))
    before = lab.counters().packets("all")
    ring = _Ring(packets[0])
    shared = _per_packet(lambda: ring.flush(_PACKETS // _FRAMES), _PACKETS // _FRAMES * _FRAMES)
    return {
        "syscall_ns": syscall,
        "write_ns": write,
        "ring_ns": shared,
        "ring_packets": lab.counters().packets("all") - before,
    }


@experiment(
    facts=[
        Fact("flows", int, "flows in the table"),
        Fact("fill_ms", int, "filling it, one write to a tun per flow"),
        Fact("netlink_ms", int, "reading it over netlink, nothing decoded"),
        Fact("proc_ms", int, "reading /proc/net/nf_conntrack"),
        Fact("conntrack_ms", int, "conntrack -L"),
    ],
    seconds=900,
)
def large_table(lab: Lab) -> FactDict:
    """How long does it take to fill a table of 262,144 flows, and to read it?

    UDP, one datagram per flow, to a socket that reads none of them.
    """
    lab.root.sysctl(sysctls.BUCKETS, _FLOWS)
    lab.root.sysctl(sysctls.MAX, 2 * _FLOWS)
    lab.root.sysctl(sysctls.UDP_TIMEOUT, 3600)
    wire = lab.host()
    lab.iptables("*raw\n-A PREROUTING -j CT")
    lab.sysctl(sysctls.UDP_TIMEOUT, 3600)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("0.0.0.0", 80))
        fill = 0
        for number in range(_FLOWS // _PORTS):
            packets = with_ports(
                udp(f"198.18.{number}.2:10000", "192.0.2.1:80"), range(10_000, 10_000 + _PORTS)
            )
            fill += _milliseconds(lambda made=packets: wire.flood(made))  # type: ignore[misc]
        flows = lab.conntrack.count()
        return {
            "flows": flows,
            "fill_ms": fill,
            "netlink_ms": _milliseconds(
                lambda: Netlink(netlink.NETFILTER).ask(
                    _CONNTRACK_GET, struct.pack(">BBH", 2, 0, 0), netlink.DUMP
                )
            ),
            "proc_ms": _milliseconds(lambda: Path("/proc/net/nf_conntrack").read_bytes()),
            "conntrack_ms": _milliseconds(
                lambda: subprocess.run(["conntrack", "-L"], capture_output=True, check=True)
            ),
        }


class _Ring:
    """A packet socket's transmit ring full of one IPv4 packet, on one end of a veth pair."""

    def __init__(self, packet: bytes) -> None:
        subprocess.run(["ip", "link", "add", "out", "type", "veth", "peer", "name", "in"], check=True)
        for name in ("out", "in"):
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _VERSION, _V2)
        self._socket.setsockopt(_SOL_PACKET, _QDISC_BYPASS, 1)
        size = _FRAME * _FRAMES
        self._socket.setsockopt(
            _SOL_PACKET, _TX_RING, struct.pack("IIII", _BLOCK, size // _BLOCK, _FRAME, _FRAMES)
        )
        self._socket.bind(("out", 0))
        self._ring = mmap.mmap(self._socket.fileno(), size)
        answer = fcntl.ioctl(self._socket, _SIOCGIFHWADDR, struct.pack("256s", b"in"))
        frame = answer[18:24] + bytes(6) + b"\x08\x00" + packet
        header = struct.pack("III", 0, len(frame), len(frame))
        for start in range(0, size, _FRAME):
            self._ring[start : start + len(header)] = header
            self._ring[start + _DATA : start + _DATA + len(frame)] = frame

    def flush(self, times: int) -> None:
        """Sends every frame `times` times."""
        all_of_them = bytes([_SEND_REQUEST]) * _FRAMES
        for _ in range(times):
            # A little-endian word at the start of each: all are handed over by writing their lowest
            # bytes.
            self._ring[::_FRAME] = all_of_them
            self._socket.send(b"")


def _per_packet(work: Callable[[], object], packets: int = _PACKETS) -> int:
    start = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start) // packets


def _milliseconds(work: Callable[[], object]) -> int:
    start = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start) // 1_000_000
