"""The kernel's own description of its types and functions (BTF), as far as their names go.

Source: Documentation/bpf/btf.rst, include/uapi/linux/btf.h. A module's BTF goes on where that of
vmlinux ends: with its type numbers, and with the offsets of its strings.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guest.netlink import Malformed

_DIRECTORY = Path("/sys/kernel/btf")
_HEADER = struct.Struct("=HBBIIIII")
_MAGIC = 0xEB9F
_FUNC = 12
# Words behind the three of each type: a number of them, and a number for each member.
_FIXED = {1: 1, 3: 3, 14: 1, 17: 1}
_EACH = {4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3}


@dataclass(frozen=True)
class Base:
    """What a module's BTF goes on from: how many types vmlinux has, and its strings."""

    types: int
    strings: bytes


def available(module: str) -> bool:
    """Whether the kernel describes a module, or `vmlinux`."""
    return (_DIRECTORY / module).exists()


def vmlinux() -> Base:
    """The types of the kernel itself. Raises OSError if it does not describe them."""
    words, strings = _sections((_DIRECTORY / "vmlinux").read_bytes())
    return Base(sum(1 for _ in _types(words)), strings)


def functions(module: str, base: Base) -> dict[str, int]:
    """The functions of a module, each with the number of its type. Raises OSError if the kernel
    does not describe the module.
    """
    words, strings = _sections((_DIRECTORY / module).read_bytes())
    found = {}
    for number, (kind, name) in enumerate(_types(words), base.types + 1):
        if kind == _FUNC:
            own = name >= len(base.strings)
            text, start = (strings, name - len(base.strings)) if own else (base.strings, name)
            found[text[start : text.index(b"\0", start)].decode()] = number
    return found


def _sections(data: bytes) -> tuple[memoryview, bytes]:
    """The words of the types, and the strings."""
    magic, _, _, header, types, types_length, strings, strings_length = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise Malformed("BTF does not begin with its number")
    start = header + strings
    return (
        memoryview(data[header + types : header + types + types_length]).cast("I"),
        data[start : start + strings_length],
    )


def _types(words: memoryview) -> Iterator[tuple[int, int]]:
    """Kind and name of each type, in order."""
    place, end = 0, len(words)
    while place < end:
        info = words[place + 1]
        kind = (info >> 24) & 31
        yield kind, words[place]
        place += 3 + _FIXED.get(kind, 0) + (_EACH[kind] * (info & 0xFFFF) if kind in _EACH else 0)
