"""Sets of ranges: whether packets match exactly the elements that they should."""

from __future__ import annotations

import ipaddress
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import endpoint, udp
from guest.lab.router import Router

_SEED, _PROBES = 20, 40
_ROWS = 10
_LAST = 255
_PROTOCOLS = (6, 17)

_Range = tuple[int, int]
_Element = tuple[_Range, ...]


@dataclass(frozen=True)
class _Set:
    """The fields of a set, and how many elements it has."""

    fields: tuple[str, ...]
    size: int


_SETS = {
    "addresses": _Set(("saddr",), 60),
    "address, port": _Set(("saddr", "dport"), 60),
    "port, address": _Set(("dport", "saddr"), 60),
    "two addresses, port": _Set(("saddr", "daddr", "dport"), 60),
    "all five": _Set(("saddr", "daddr", "protocol", "sport", "dport"), 60),
    "one element": _Set(("saddr", "dport"), 1),
    "many": _Set(("saddr", "dport"), 500),
}


class SetRanges(Facts):
    """Facts of `set-ranges`."""

    wrong: Annotated[
        dict[str, int], "per set: packets of forty that match though they should not, or the reverse"
    ]
    deleted: Annotated[dict[str, int], "the same once every second element is deleted"]
    replaced: Annotated[
        dict[str, int], "the same once all elements are deleted and others added in one transaction"
    ]


@experiment(variants={"family": FAMILIES})
def set_ranges(lab: Lab) -> SetRanges:
    """Does a packet match a set of ranges exactly if one of the elements contains it?

    Sets of nft's with ranges of addresses and ports that do not overlap: of one field, and of
    concatenated ones (up to five), with 1, 60 and 500 elements. Forty UDP and TCP packets each, at
    the ends of elements, one beyond, inside and anywhere, are compared with the elements one by
    one; then every second element is deleted, then all are replaced by others at once. Block lists
    and service maps of firewalls, Docker and Kubernetes are such sets.
    """
    wrong, deleted, replaced = {}, {}, {}
    for name, kind in _SETS.items():
        chance = random.Random(_SEED)
        first, second = (_elements(kind, chance) for _ in range(2))
        place = lab.new_namespace()
        router = place.router(states=False)
        _load(place, kind, first)
        wrong[name] = _wrong(router, kind, first, first, chance)
        half, rest = first[::2], first[1::2]
        if rest:
            place.nft(_change("delete", place, kind, rest))
        deleted[name] = _wrong(router, kind, half, first, chance)
        place.nft(_change("delete", place, kind, half) + _change("add", place, kind, second))
        replaced[name] = _wrong(router, kind, second, first + second, chance)
    return SetRanges(wrong=wrong, deleted=deleted, replaced=replaced)


def _elements(kind: _Set, chance: random.Random) -> list[_Element]:
    """Elements that do not overlap: each has a cell of its own, by its first two fields."""
    columns = -(-kind.size // _ROWS)
    if len(kind.fields) == 1:
        rows, columns = kind.size, 1
    else:
        rows = min(_ROWS, kind.size)
    cells = [(row, column) for row in range(rows) for column in range(columns)][: kind.size]
    return [
        tuple(
            _range(field, *((cell[place], (rows, columns)[place]) if place < 2 else (0, 1)), chance)
            for place, field in enumerate(kind.fields)
        )
        for cell in cells
    ]


def _range(field: str, cell: int, cells: int, chance: random.Random) -> _Range:
    if field == "protocol":
        only = chance.choice(_PROTOCOLS)
        return only, only
    most = _LAST if field.endswith("addr") else (1 << 16) - 1
    low, high = most * cell // cells + 1, most * (cell + 1) // cells
    first, last = sorted((chance.randint(low, high), chance.randint(low, high)))
    return first, last


_TYPES = {"protocol": "inet_proto", "sport": "inet_service", "dport": "inet_service"}


def _load(place: Namespace, kind: _Set, elements: Sequence[_Element]) -> None:
    types = " . ".join(_TYPES.get(field, f"ipv{place.family.value[-1]}_addr") for field in kind.fields)
    words = {"protocol": "meta l4proto", "sport": "th sport", "dport": "th dport"}
    key = " . ".join(words.get(field, f"{place.ip} {field}") for field in kind.fields)
    place.nft(f"""
        table {place.ip} t {{
            set s {{ type {types}; flags interval; }}
            chain c {{
                type filter hook forward priority 0; policy drop;
                {key} @s accept
            }}
        }}
    """)
    place.nft(_change("add", place, kind, elements))


def _change(verb: str, place: Namespace, kind: _Set, elements: Sequence[_Element]) -> str:
    listed = ", ".join(
        " . ".join(
            _text(place.family, field, *span) for field, span in zip(kind.fields, element, strict=True)
        )
        for element in elements
    )
    return f"{verb} element {place.ip} t s {{ {listed} }}\n"


def _text(family: Family, field: str, first: int, last: int) -> str:
    texts = [_value(family, field, value) for value in (first, last)]
    return texts[0] if first == last else "-".join(texts)


def _value(family: Family, field: str, value: int) -> str:
    if not field.endswith("addr"):
        return str(value)
    number = 1 if field == "saddr" else 2
    return f"2001:db8:{number}::{value:x}" if family is Family.IPV6 else f"10.0.{number}.{value}"


def _wrong(
    router: Router, kind: _Set, there: Sequence[_Element], known: Sequence[_Element], chance: random.Random
) -> int:
    """Packets of forty whose match is not what the elements say that are there."""
    template = bytes(udp(endpoint(router.client_address, 40000), endpoint(router.server_address, 53)))
    wrong = 0
    for _ in range(_PROBES):
        probe = {
            field: _near(field, span, chance)
            for field, span in zip(kind.fields, chance.choice(known), strict=True)
        }
        expected = any(
            all(
                first <= probe[field] <= last
                for field, (first, last) in zip(kind.fields, element, strict=True)
            )
            for element in there
        )
        router.from_client(_packet(template, router.family, probe))
        wrong += bool(router.out) != expected
    return wrong


def _near(field: str, span: _Range, chance: random.Random) -> int:
    first, last = span
    if field == "protocol":
        return chance.choice((first, first, *_PROTOCOLS))
    most = _LAST - 1 if field.endswith("addr") else (1 << 16) - 1
    value = chance.choice((first, last, first - 1, last + 1, (first + last) // 2, chance.randint(1, most)))
    # The router has the first address of each network.
    return min(max(value, 2 if field.endswith("addr") else 1), most)


def _packet(template: bytes, family: Family, probe: dict[str, int]) -> bytes:
    """A packet like the template with these fields. The router looks at no checksum but IPv4's."""
    data = bytearray(template)
    start = 12 if family is Family.IPV4 else 8
    data[start : family.header] = b"".join(
        ipaddress.ip_address(_value(family, field, probe.get(field, 2))).packed
        for field in ("saddr", "daddr")
    )
    data[9 if family is Family.IPV4 else 6] = probe.get("protocol", 17)
    ports = probe.get("sport", 40000), probe.get("dport", 53)
    struct.pack_into(">HH", data, family.header, *ports)
    if family is Family.IPV4:
        data[10:12] = bytes(2)
        total = sum(struct.unpack(">10H", data[:20]))
        total = (total & 0xFFFF) + (total >> 16)
        struct.pack_into(">H", data, 10, ~(total + (total >> 16)) & 0xFFFF)
    return bytes(data)
