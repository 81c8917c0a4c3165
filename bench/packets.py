"""How fast packets get into a guest's kernel, and how long a table of 262,144 flows takes to fill
and to read.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bench.figure import Figure
from bench.guests import answered, question, template

KERNEL = "6.12"


def measure() -> list[Figure]:
    """Asks the guest, by its own clock."""
    speed, table = facts("injecting"), facts("large-table")
    return [*_speed(speed, table), *_reading(table)]


def _speed(speed: dict[str, int], table: dict[str, int]) -> list[Figure]:
    floor = speed["syscall_ns"] / 1000
    one_syscall = "one write to /dev/null per packet"
    return [
        Figure(
            "write_us",
            speed["write_ns"] / 1000,
            "us",
            f"a packet into the kernel, one write to a tun each ({_rate(speed['write_ns'])})",
            floor,
            one_syscall,
        ),
        Figure(
            "ring_us",
            speed["ring_ns"] / 1000,
            "us",
            f"out of a shared ring, through a veth pair ({_rate(speed['ring_ns'])})",
            floor,
            one_syscall,
        ),
        Figure(
            "fill_seconds",
            table["fill_ms"] / 1000,
            "s",
            f"filling a table of {table['flows']:,} flows",
            table["flows"] * speed["write_ns"] / 1e9,
            "as many packets that are dropped",
        ),
    ]


def _reading(table: dict[str, int]) -> list[Figure]:
    flows = f"{table['flows']:,} flows"
    return [
        Figure(
            "netlink_seconds", table["netlink_ms"] / 1000, "s", f"reading {flows} over netlink, not decoded"
        ),
        Figure(
            "proc_seconds",
            table["proc_ms"] / 1000,
            "s",
            f"reading {flows} from /proc/net/nf_conntrack",
            table["netlink_ms"] / 1000,
            "over netlink",
        ),
        Figure(
            "conntrack_seconds",
            table["conntrack_ms"] / 1000,
            "s",
            f"conntrack -L of {flows}",
            table["netlink_ms"] / 1000,
            "over netlink",
        ),
    ]


def facts(experiment: str) -> dict[str, int]:
    """What the guest answered."""
    answer = answered(template(KERNEL), question(experiment)).answer
    decoded: dict[str, Any] = msgspec.json.decode(answer.whole if answer else b"")
    found: dict[str, int] = decoded["facts"]
    return found


def _rate(nanoseconds: int) -> str:
    return f"{1e9 / nanoseconds:,.0f} packets/s"
