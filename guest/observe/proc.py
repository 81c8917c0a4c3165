"""Parses tables under /proc that have no netlink counterpart."""

from __future__ import annotations

from guest.netlink import Malformed

_SHOWN = 1_000  # characters of a line that cannot be read


def parse_netstat(text: str) -> dict[str, int]:
    """Names to values from /proc/net/netstat and /proc/net/snmp, which hold a line of names before
    each line of values. Raises Malformed if a value is no number.
    """
    lines = text.splitlines()
    found: dict[str, int] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        try:
            found.update(zip(names.split()[1:], map(int, values.split()[1:]), strict=False))
        except ValueError as error:
            raise Malformed(f"a value in {values[:_SHOWN]!r} is no number") from error
    return found
