"""Builds the initramfs and the modules disk that boot a kernel into the image: busybox with the
modules that the boot needs, and all other modules.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from vms import tool
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import Unbootable
from vms.image import Image
from vms.kernels.digest import sha256_of
from vms.kernels.kernel import BootFiles

_MODULE_BYTES = 32 << 20  # of one that boots; with debugging information they have a few MiB
_XZ_MEMORY = 128 << 20  # the kernel's own build needs 2 MiB, `xz -9` 65
_CHUNK = 1 << 16
_FORM = 1  # increased when the content of an entry changes its meaning
_INITRAMFS, _MODULES = _FILES = ("initramfs", "modules.squashfs")
USERLAND = Path(__file__).parent / "userland"
# squashfs and overlay for the root; virtio_* for the disks, the two ports to the host, and entropy
# before the first key is drawn.
NEEDED = ("virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "squashfs", "overlay")
_SQUASHFS = (
    "-comp",
    "lz4",
    "-reproducible",
    "-all-time",
    "0",
    "-mkfs-time",
    "0",
    "-no-progress",
    "-quiet",
    "-noappend",
    "-all-root",
)


@dataclass(frozen=True)
class Bootable:
    """A kernel with its initramfs and modules disk.

    `key` changes when any of their bytes could.
    """

    files: BootFiles
    initramfs: Path
    modules: Path
    key: str


def prepare(files: BootFiles, image: Image, cache: Cache, deadline: Deadline) -> Bootable:
    """The initramfs and modules disk of a kernel, from the cache or built now.

    Raises Unbootable if the kernel lacks a needed module.
    """
    recipe = [_FORM, files.version, files.sha256, image.sha256, NEEDED, _SQUASHFS, _userland_digest()]
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:32]
    entry = cache.ensure(
        "initramfs", key, lambda directory: _build(directory, files, image, deadline), deadline, _whole
    )
    return Bootable(files, entry / _INITRAMFS, entry / _MODULES, key)


def _userland_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(USERLAND.rglob("*")):
        if path.is_file():
            digest.update(
                f"{path.relative_to(USERLAND)} {path.stat().st_mode & 0o111}\n".encode() + path.read_bytes()
            )
    return digest.hexdigest()


def needed_modules(modules: Path) -> list[Path]:
    """The files of NEEDED and of what they depend on, relative to `modules`, in loading order;
    built-in ones are omitted.
    """
    dependencies = {}
    for line in (modules / "modules.dep").read_text(errors="replace").splitlines():
        path, _, others = line.partition(":")
        dependencies[path] = others.split()
    by_name = {_name(path): path for path in dependencies}
    text = (modules / "modules.builtin").read_text(errors="replace")
    builtin = {_name(line) for line in text.splitlines()}
    order: list[Path] = []
    for name in NEEDED:
        if name in builtin:
            continue
        if name not in by_name:
            raise Unbootable(
                f"{modules.name} cannot boot a guest: {name} is neither built in nor among its modules"
            )
        # modules.dep lists the dependencies of a module nearest first; the last is loaded first.
        for path in (*reversed(dependencies[by_name[name]]), by_name[name]):
            if Path(path) not in order:
                order.append(Path(path))
    return order


def _name(path: str) -> str:
    return Path(path).name.split(".ko")[0].replace("-", "_")


def unpack_module(module: Path, target: Path, deadline: Deadline) -> None:
    """Writes a module to a file as busybox' insmod reads it: not compressed.

    Raises Unbootable if it is damaged or larger than one that boots a guest can be.
    """
    # The host unpacks faster than a guest without KVM.
    with _plain(module, deadline) as source, target.open("wb") as file:
        size = 0
        while chunk := source.read(_CHUNK):
            deadline.check()
            size += len(chunk)
            if size > _MODULE_BYTES:
                raise Unbootable(
                    f"{module.name} unpacks to more than {_MODULE_BYTES >> 20} MiB, too many for a module"
                    " that boots a guest"
                )
            file.write(chunk)


class _Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class _Xz:
    """What an .xz file unpacks to, with bounded memory: its dictionary may be up to 4 GiB."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._decompressor = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end. Raises LZMAError or EOFError if it is damaged."""
        plain = b""
        while not plain and not self._decompressor.eof:
            packed = self._packed.read(_CHUNK) if self._decompressor.needs_input else b""
            if self._decompressor.needs_input and not packed:
                raise EOFError("it ends too early")
            plain = self._decompressor.decompress(packed, size)
        return plain


@contextmanager
def _plain(module: Path, deadline: Deadline) -> Iterator[_Readable]:
    """A module as a stream of what its file unpacks to."""
    try:
        if module.suffix == ".xz":
            with module.open("rb") as packed:
                yield _Xz(packed)
        elif module.suffix == ".gz":
            with gzip.open(module) as stream:
                yield stream
        elif module.suffix == ".zst":
            command = ["zstd", "--decompress", "--quiet", "--stdout", str(module)]
            with tool.output_of(command, deadline) as stream:
                yield stream
        else:
            with module.open("rb") as stream:
                yield stream
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Unbootable(f"{module.name} is damaged: {error}") from error


def _build(staging: Path, files: BootFiles, image: Image, deadline: Deadline) -> None:
    root = staging / "root"
    for name in ("bin", "dev", "modules", "proc", "sys"):
        (root / name).mkdir(parents=True)
    shutil.copy(image.busybox, root / "bin" / "busybox")
    shutil.copytree(USERLAND, root, dirs_exist_ok=True)
    order = []
    for path in needed_modules(files.modules):
        order.append(path.name.partition(".ko")[0] + ".ko")
        unpack_module(files.modules / path, root / "modules" / order[-1], deadline)
    (root / "modules" / "order").write_text("".join(f"{name}\n" for name in order))
    for path in root.rglob("*"):
        os.utime(path, (0, 0))
    # The same bytes for every builder, at any time.
    pack = (
        "find . -mindepth 1 -print0 | LC_ALL=C sort -z | cpio --null --create --format=newc --owner=0:0"
        ' --reproducible --quiet >"$1"'
    )
    tool.run(["sh", "-c", pack, "sh", str(staging / _INITRAMFS)], deadline, cwd=root)
    shutil.rmtree(root)
    tool.run(["mksquashfs", str(files.modules), str(staging / _MODULES), *_SQUASHFS], deadline)
    about = {
        "kernel": files.kernel.id,
        "modules": order,
        "sha256": {name: sha256_of(staging / name) for name in _FILES},
    }
    (staging / "initramfs.json").write_text(json.dumps(about, indent=1))


def _whole(entry: Path) -> bool:
    try:
        about = json.loads((entry / "initramfs.json").read_text())
        return all(about["sha256"][name] == sha256_of(entry / name) for name in _FILES)
    except (OSError, ValueError, KeyError, TypeError):
        return False
