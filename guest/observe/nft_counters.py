"""Reads the named counters of an nft table over netlink: what `nft list counters` prints, without
starting a program.

Source: include/uapi/linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import struct

from guest import netlink
from guest.netlink import Malformed, Netlink, attribute, attributes

_GETOBJ = 10 << 8 | 19
_OBJ_TABLE, _OBJ_NAME, _OBJ_DATA = 1, 2, 4
_COUNTER_PACKETS = 2
_SHOWN = 1_000  # bytes of a message that cannot be read


class NamedCounters:
    """The counters of one table of the network namespace in which this is made.

    `family` is 2 for ip, 10 for ip6.
    """

    def __init__(self, table: str, family: int) -> None:
        self._netlink = Netlink(netlink.NETFILTER)
        self._request = struct.pack(">BBH", family, 0, 0) + attribute(_OBJ_TABLE, table)

    def packets(self) -> dict[str, int]:
        """Packets by counter, read now."""
        return dict(
            parse_counter(message.payload)
            for message in self._netlink.ask(_GETOBJ, self._request, netlink.DUMP)
        )


def parse_counter(payload: bytes) -> tuple[str, int]:
    """Name and packets from a message's payload, nfgenmsg header included. Raises Malformed if
    there are none.
    """
    found = attributes(payload[4:])
    try:
        name = found[_OBJ_NAME].rstrip(b"\0").decode(errors="replace")
        return name, int.from_bytes(attributes(found[_OBJ_DATA])[_COUNTER_PACKETS], "big")
    except KeyError as error:
        raise Malformed(f"no named counter in {payload[:_SHOWN].hex()}") from error
