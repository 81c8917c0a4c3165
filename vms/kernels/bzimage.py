"""Reads the release from a vmlinuz: the x86 boot protocol, Documentation/arch/x86/boot.rst in the
kernel's source.
"""

from __future__ import annotations

import struct
from pathlib import Path

from vms.errors import FetchError
from vms.kernels.kernel import RELEASE, RELEASE_CHARACTERS, shortened

_MAGIC_AT, _MAGIC = 0x202, b"HdrS"
_PROTOCOL_AT = 0x206
_VERSION_AT = 0x20E  # the offset of the text, minus 0x200
_OLDEST_PROTOCOL = 0x0200


def release_of(vmlinuz: Path) -> str:
    """The release in a bzImage, as `uname -r` prints it.

    Raises FetchError for any other file.
    """
    try:
        with vmlinuz.open("rb") as file:
            head = file.read(0x10000)
    except OSError as error:
        raise FetchError(f"{vmlinuz}: cannot be read: {error.strerror}") from error
    if head[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC or len(head) < 0x210:
        raise FetchError(
            f"{vmlinuz} is not an x86 bzImage; an uncompressed `vmlinux` cannot be booted, use"
            " arch/x86/boot/bzImage"
        )
    protocol, start = (
        struct.unpack_from("<H", head, _PROTOCOL_AT)[0],
        struct.unpack_from("<H", head, _VERSION_AT)[0] + 0x200,
    )
    text, end, _ = head[start : start + 256].partition(b"\0")
    if protocol < _OLDEST_PROTOCOL or not end or not text.strip():
        raise FetchError(f"{vmlinuz} does not contain its release")
    release = text.split()[0].decode("ascii", errors="replace")
    if len(release) > RELEASE_CHARACTERS or not RELEASE.fullmatch(release) or ".." in release:
        raise FetchError(f"{vmlinuz}: the release in it, {shortened(release)}, cannot be that of a kernel")
    return release
