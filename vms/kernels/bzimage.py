"""What a vmlinuz says about itself: the x86 boot protocol, Documentation/arch/x86/boot.rst in the
kernel's source.
"""

from __future__ import annotations

import struct
from pathlib import Path

from vms.errors import FetchError
from vms.kernels.kernel import RELEASE, RELEASE_CHARACTERS, shortened

_MAGIC_AT, _MAGIC = 0x202, b"HdrS"
_PROTOCOL_AT = 0x206
_VERSION_AT = 0x20E  # where the text lies, less 0x200
_OLDEST_PROTOCOL = 0x0200


def release_of(vmlinuz: Path) -> str:
    """The release that a bzImage holds, as `uname -r` will print it.

    Raises FetchError for anything else than a bzImage.
    """
    try:
        with vmlinuz.open("rb") as file:
            head = file.read(0x10000)
    except OSError as error:
        raise FetchError(f"{vmlinuz}: cannot be read: {error.strerror}") from error
    if head[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC or len(head) < 0x210:
        raise FetchError(
            f"{vmlinuz} is not an x86 bzImage; an uncompressed `vmlinux` cannot be booted, take"
            " arch/x86/boot/bzImage"
        )
    protocol, start = (
        struct.unpack_from("<H", head, _PROTOCOL_AT)[0],
        struct.unpack_from("<H", head, _VERSION_AT)[0] + 0x200,
    )
    text, end, _ = head[start : start + 256].partition(b"\0")
    if protocol < _OLDEST_PROTOCOL or not end or not text.strip():
        raise FetchError(f"{vmlinuz} does not say which kernel it is")
    release = text.split()[0].decode("ascii", errors="replace")
    if len(release) > RELEASE_CHARACTERS or not RELEASE.fullmatch(release) or ".." in release:
        raise FetchError(f"{vmlinuz}: `uname -r` cannot be {shortened(release)}, as it says")
    return release
