"""Parses tables under /proc that have no netlink counterpart."""

from __future__ import annotations


def parse_netstat(text: str) -> dict[str, int]:
    """Names to values from /proc/net/netstat and /proc/net/snmp, which hold a line of names before
    each line of values.
    """
    lines = text.splitlines()
    found: dict[str, int] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        found.update(zip(names.split()[1:], map(int, values.split()[1:]), strict=False))
    return found
