"""How a debugger connects with a guest, and finds the kernel's symbols."""

from __future__ import annotations

import shlex
import struct
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vms.deadline import Deadline
from vms.kernels.kernel import BootFiles
from vms.ssh import Ssh

_DEBIANS = Path("/usr/lib/debug/boot")  # of packages named linux-image-...-dbg
_TREE = 3  # directories from a tree's bzImage up to the tree: arch/x86/boot
_ELF = b"\x7fELF\x02\x01"  # 64 bits, little-endian


def connecting_line(socket: Path, vmlinux: Path | None, loaded_at: int) -> str:
    """What a user types to debug the guest. `vmlinux` has its symbols, and `loaded_at` is where the
    kernel's first byte is in the guest: kernels choose that at random.
    """
    words = ["gdb", "-ex", f"target remote {socket}"]
    linked_at = _linked_at(vmlinux) if vmlinux else 0
    if vmlinux and linked_at and loaded_at:
        words += ["-ex", f"symbol-file {vmlinux} -o {loaded_at - linked_at:#x}"]
    return shlex.join(words)


def find_vmlinux(files: BootFiles) -> Path | None:
    """The kernel's file with symbols: of a tree `vmlinux`, of others that of Debian's package of
    symbols if it is installed here. None if there is none.
    """
    places = [_DEBIANS / f"vmlinux-{files.version}"]
    if files.kernel.scheme == "tree" and files.kernel.packages:
        image = Path(unquote(urlsplit(files.kernel.packages[0].url).path))
        places.insert(0, image.parents[_TREE] / "vmlinux")
    return next((place for place in places if place.is_file()), None)


def find_loaded_at(ssh: Ssh, deadline: Deadline) -> int:
    """Where the guest's kernel is in memory; 0 if it does not say."""
    said = ssh.run("grep -m 1 ' _text$' /proc/kallsyms", deadline).output.partition(" ")[0]
    try:
        return int(said, 16)
    except ValueError:
        return 0


def _linked_at(vmlinux: Path) -> int:
    """The address of the kernel's first byte in the file; 0 if the file is no such kernel."""
    try:
        with vmlinux.open("rb") as file:
            header = file.read(64)
            if len(header) < 64 or not header.startswith(_ELF):
                return 0
            file.seek(struct.unpack_from("<Q", header, 32)[0])
            first = file.read(24)
    except (OSError, ValueError):
        return 0
    return int(struct.unpack_from("<Q", first, 16)[0]) if len(first) == 24 else 0
