"""Changes bytes a little, and JSON as JSON: the parser is compiled code, which tells a fuzzer
nothing about how far it came, so most blind changes would end there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

_MOST_CHANGES = 4
_WORDS = (
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\xed\xa0\x80",
    b"\xef\xbf\xbf",
    b"../",
    b"/",
    b"\n",
    b'"',
    b"-",
    b"9" * 30,
    b"[" * 2000,
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1 << 53,
    1 << 63,
    1 << 64,
    10**400,
    0.5,
    1e308,
    "",
    "..",
    "../..",
    "/etc/passwd",
    "-h",
    "\0",
    "\x1b[31m",
    "\u202e",
    "\ud800",
    "\uffff",
    "٣",
    "x" * 5000,
    "a/b",
    "2026-02-30",
    [],
    {},
    [[]],
    {"": ""},
)


def mutate(data: bytes, random: Random) -> bytes:
    """The bytes with one to four changes."""
    for _ in range(random.randint(1, _MOST_CHANGES)):
        changed = _changed_json(data, random) if random.random() < 0.5 else None
        data = _changed_bytes(data, random) if changed is None else changed
    return data


def _changed_bytes(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + random.choice((0, 1, 1, 2, 4, 16, 200)))
    other = random.randrange(len(data) + 1)
    instead = random.choice(
        (b"", random.choice(_WORDS), random.randbytes(end - start or 1), data[other : other + 64])
    )
    return data[:start] + instead + data[end:]


def _changed_json(data: bytes, random: Random) -> bytes | None:
    """The bytes with a change in one value of the JSON that they are, or that one of their lines
    is; None if that is no JSON.
    """
    lines = data.split(b"\n")
    place = random.randrange(len(lines))
    for parts, at in (([data], 0), (lines, place)):
        try:
            parts[at] = json.dumps(_changed_value(json.loads(parts[at]), random)).encode()
        except (ValueError, RecursionError):
            continue
        return b"\n".join(parts)
    return None


def _changed_value(whole: Any, random: Random) -> Any:
    top = [whole]
    nodes = list(_nodes(top))
    holder, key = random.choice(nodes)
    other_holder, other_key = random.choice(nodes)
    match random.randrange(5):
        case 0 if holder is not top:
            del holder[key]
        case 1:
            holder[key] = json.loads(json.dumps(other_holder[other_key]))
        case 2 if isinstance(holder, dict):
            holder[str(random.choice(_VALUES))] = holder.pop(key)
        case 3 if isinstance(holder, list):
            holder.insert(key, random.choice(_VALUES))
        case _:
            holder[key] = random.choice(_VALUES)
    return top[0]


def _nodes(holder: Any) -> Iterator[tuple[Any, Any]]:
    """Every value in the holder, as the list or dict that it is in and its place there."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    for key in keys:
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _nodes(holder[key])
