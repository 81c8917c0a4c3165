"""Reads the name and version of an .rpm file: the lead, two headers, then the payload (the file
format of rpm 4).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from vms.errors import UsageError

_LEAD = 96
_LEAD_MAGIC = b"\xed\xab\xee\xdb"
_HEADER_MAGIC = b"\x8e\xad\xe8"
_NAME, _VERSION, _RELEASE = 1000, 1001, 1002
_FORMAT = 5114  # only packages of format 6 have it
_STRING = 6
_MOST = 64 * 1024 * 1024  # bytes; a header that claims more is damaged


def identify(path: Path) -> tuple[str, str, str]:
    """Name, version and release of the package. Raises UsageError if it is not an .rpm file of
    rpm 4's format.
    """
    with path.open("rb") as file:
        if file.read(_LEAD)[:4] != _LEAD_MAGIC:
            raise UsageError(f"{path} is not an .rpm file")
        try:
            _header(file)  # of signatures, padded to eight bytes
            file.seek(-file.tell() % 8, 1)
            found = _header(file)
            named = found[_NAME], found[_VERSION], found[_RELEASE]
        except (struct.error, ValueError, KeyError) as error:
            raise UsageError(f"{path} is a damaged .rpm file") from error
    if _FORMAT in found:  # its payload leaves to the header what each file is
        raise UsageError(
            f"{path} has the file format of rpm 6, which bsdtar cannot unpack; build it with"
            " rpmbuild --define '_rpmformat 4', or unpack it with rpm2archive and ask for"
            " image:VMLINUZ,modules=DIRECTORY"
        )
    return named


def _header(file: BinaryIO) -> dict[int, str]:
    """Reads one header; returns its plain strings by tag, and "" for the tag of the file format."""
    magic, count, size = struct.unpack(">8sII", file.read(16))
    if magic[:3] != _HEADER_MAGIC or count * 16 + size > _MOST:
        raise ValueError
    index, store = file.read(count * 16), file.read(size)
    strings = {}
    for tag, kind, offset, _ in struct.iter_unpack(">IIII", index):
        if kind == _STRING:
            strings[tag] = store[offset : store.index(b"\0", offset)].decode(errors="replace")
        elif tag == _FORMAT:
            strings[tag] = ""
    return strings
