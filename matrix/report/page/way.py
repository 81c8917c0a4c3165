"""The path of a cell's packets through the hooks, for the page to draw: read from facts that count
packets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from matrix.results.record import FactValue

_MOST_PACKETS = 10**9


class Stage(NamedTuple):
    """A place on the path, the packets that reached it, and a note, such as the number of flows."""

    hook: str
    packets: int
    note: str


class Way(NamedTuple):
    """The path of one kind of packet, in the order of the hooks.

    `name` is the fact that counts the packets, empty if several plain facts count them.
    """

    name: str
    stages: tuple[Stage, ...]


# Keys of a fact that counts packets by hook, in the order in which a packet passes them.
_HOOKS = {
    "output": "raw OUTPUT",
    "prerouting": "raw PREROUTING",
    "new": "mangle PREROUTING, NEW",
    "input": "mangle INPUT",
}


def ways(facts: Mapping[str, FactValue]) -> tuple[Way, ...]:
    """The paths that can be drawn for a cell: from facts that count packets before and after
    connection tracking, and from facts that count packets by hook. Other facts draw nothing.
    """
    found = []
    raw, mangle = _count(facts.get("raw_packets")), _count(facts.get("mangle_packets"))
    if raw is not None and mangle is not None:
        flows, arrived, answered = (_count(facts.get(name)) for name in ("flows", "packets", "synacks"))
        stages = [Stage("tun", arrived, "")] if arrived is not None else []
        stages.append(Stage("raw PREROUTING", raw, ""))
        stages.append(
            Stage("conntrack", mangle, "" if flows is None else f"{flows} flows" if flows != 1 else "1 flow")
        )
        stages.append(
            Stage("mangle PREROUTING", mangle, "" if answered is None else f"{answered} SYN+ACKs back")
        )
        found.append(Way("", tuple(stages)))
    for name, value in facts.items():
        if isinstance(value, dict) and len(value) > 1 and value.keys() <= _HOOKS.keys():
            counts = [(hook, _count(value[key])) for key, hook in _HOOKS.items() if key in value]
            found.append(
                Way(name, tuple(Stage(hook, count, "") for hook, count in counts if count is not None))
            )
    return tuple(found)


def _count(value: FactValue | None) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_PACKETS else None
