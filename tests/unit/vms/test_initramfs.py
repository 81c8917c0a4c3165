from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from vms import initramfs
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import Unbootable
from vms.image import Image
from vms.initramfs import NEEDED, needed_modules, prepare
from vms.kernels.kernel import BootFiles, Kernel

KERNEL = Kernel("6.1.0", "test:6.1.0", "6.1", "6.1.0", "cloud", "6.1.0-1", "test", ())


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A kernel's modules as depmod lists them: virtio_pci needs two others, virtio_rng is spelled
    with a dash, squashfs is built in.
    """
    directory = tmp_path / "lib/modules/6.1.0-cloud"
    drivers = directory / "kernel/drivers"
    drivers.mkdir(parents=True)
    names = (
        "virtio_ring.ko",
        "virtio.ko",
        "virtio_pci.ko.xz",
        "virtio_blk.ko",
        "virtio_console.ko",
        "virtio-rng.ko",
        "overlay.ko.zst",
    )
    for name in names:
        content = f"module {name}".encode()
        if name.endswith(".xz"):
            content = lzma.compress(content)
        if name.endswith(".zst"):
            content = subprocess.run(["zstd", "-qc"], input=content, capture_output=True, check=True).stdout
        (drivers / name).write_bytes(content)
    ring, virtio = "kernel/drivers/virtio_ring.ko", "kernel/drivers/virtio.ko"
    (directory / "modules.dep").write_text(
        f"{ring}:\n{virtio}: {ring}\n"
        f"kernel/drivers/virtio_pci.ko.xz: {virtio} {ring}\n"
        f"kernel/drivers/virtio_blk.ko: {virtio} {ring}\n"
        f"kernel/drivers/virtio_console.ko: {virtio} {ring}\n"
        f"kernel/drivers/virtio-rng.ko: {virtio} {ring}\n"
        "kernel/drivers/overlay.ko.zst:\n"
    )
    (directory / "modules.builtin").write_text("kernel/fs/squashfs/squashfs.ko\n")
    return directory


@pytest.fixture
def image(tmp_path: Path) -> Image:
    busybox = tmp_path / "busybox"
    shutil.copy("/bin/true", busybox)
    return Image(tmp_path / "root.squashfs", busybox, "ab" * 32, {})


@pytest.fixture
def files(tmp_path: Path, modules: Path) -> BootFiles:
    return BootFiles(KERNEL, "6.1.0-cloud", tmp_path / "vmlinuz", modules, None, {"vmlinuz": "cd" * 32})


def soon() -> Deadline:
    return Deadline(30, "making it")


def unpacked(packed: Path, directory: Path) -> Path:
    directory.mkdir()
    with packed.open("rb") as file:
        subprocess.run(
            ["cpio", "--extract", "--quiet", "--no-absolute-filenames"], stdin=file, cwd=directory, check=True
        )
    return directory


def test_modules_are_loaded_after_those_they_need_and_built_in_ones_are_not_loaded(modules: Path) -> None:
    order = [path.name for path in needed_modules(modules)]
    assert order == [
        "virtio_ring.ko",
        "virtio.ko",
        "virtio_pci.ko.xz",
        "virtio_blk.ko",
        "virtio_console.ko",
        "virtio-rng.ko",
        "overlay.ko.zst",
    ]


def test_a_list_of_built_in_modules_that_is_no_text_is_read(modules: Path) -> None:
    listing = modules / "modules.builtin"
    listing.write_bytes(b"kernel/\xff.ko\n" + listing.read_bytes())
    assert len(needed_modules(modules)) == 7


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.fault(phase="initramfs", fault="module missing", outcome="an error that names the module")
def test_a_kernel_without_a_needed_module_is_refused_by_its_name(modules: Path, name: str) -> None:
    for listing in ("modules.dep", "modules.builtin"):
        lines = (modules / listing).read_text().splitlines(keepends=True)
        (modules / listing).write_text(
            "".join(line for line in lines if name not in line.partition(":")[0].replace("-", "_"))
        )
    with pytest.raises(
        Unbootable, match=f"6.1.0-cloud cannot boot a guest: {name} is neither built in nor among its modules"
    ):
        needed_modules(modules)


def test_the_initramfs_holds_plain_modules_in_order(files: BootFiles, image: Image, tmp_path: Path) -> None:
    bootable = prepare(files, image, Cache(tmp_path / "cache"), soon())
    root = unpacked(bootable.initramfs, tmp_path / "root")
    order = (root / "modules/order").read_text().split()
    assert order[-1] == "overlay.ko"
    for name in order:
        assert (root / "modules" / name).read_bytes().startswith(f"module {name}".encode())
    assert os.access(root / "init", os.X_OK)
    assert os.access(root / "bin/busybox", os.X_OK)
    assert (root / "root-files/usr/lib/matrix/relay.py").is_file()


def test_all_modules_are_on_the_disk(files: BootFiles, image: Image, tmp_path: Path) -> None:
    bootable = prepare(files, image, Cache(tmp_path / "cache"), soon())
    listed = subprocess.run(
        ["unsquashfs", "-l", str(bootable.modules)], capture_output=True, text=True, check=True
    ).stdout
    for path in files.modules.rglob("*.ko*"):
        assert str(path.relative_to(files.modules)) in listed


def test_an_initramfs_is_made_once_and_reproducibly(files: BootFiles, image: Image, tmp_path: Path) -> None:
    first = prepare(files, image, Cache(tmp_path / "one"), soon())
    assert prepare(files, image, Cache(tmp_path / "one"), soon()) == first
    second = prepare(files, image, Cache(tmp_path / "two"), soon())
    assert second.key == first.key
    assert second.initramfs.read_bytes() == first.initramfs.read_bytes()
    assert second.modules.read_bytes() == first.modules.read_bytes()


def test_another_kernel_or_image_makes_another_initramfs(
    files: BootFiles, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "cache")
    keys = {prepare(files, image, cache, soon()).key}
    keys.add(prepare(replace(files, sha256={"vmlinuz": "ee" * 32}), image, cache, soon()).key)
    keys.add(prepare(files, replace(image, sha256="ee" * 32), cache, soon()).key)
    changed = tmp_path / "userland"
    shutil.copytree(initramfs.USERLAND, changed)
    (changed / "init").write_text("#!/bin/sh\n")
    monkeypatch.setattr(initramfs, "USERLAND", changed)
    keys.add(prepare(files, image, cache, soon()).key)
    assert len(keys) == 4


@pytest.mark.parametrize("name", ["initramfs", "modules.squashfs"])
@pytest.mark.fault(phase="initramfs", fault="entry damaged", outcome="it is made anew")
def test_a_damaged_initramfs_is_made_again(files: BootFiles, image: Image, tmp_path: Path, name: str) -> None:
    made = prepare(files, image, Cache(tmp_path / "cache"), soon())
    path = made.initramfs.with_name(name)
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    assert prepare(files, image, Cache(tmp_path / "cache"), soon()) == made
    assert path.read_bytes() == whole


def packed(content: bytes, ending: str) -> bytes:
    if ending == ".zst":
        return subprocess.run(["zstd", "-qc"], input=content, capture_output=True, check=True).stdout
    if ending == ".gz":
        return gzip.compress(content)
    return lzma.compress(content) if ending == ".xz" else content


@pytest.mark.fault(phase="initramfs", fault="package floods", outcome="an error that names the module")
@pytest.mark.parametrize("ending", ["", ".gz", ".xz", ".zst"])
def test_a_module_that_unpacks_to_more_than_a_module_can_have_is_refused(
    files: BootFiles, image: Image, tmp_path: Path, ending: str
) -> None:
    listing = files.modules / "modules.dep"
    listing.write_text(listing.read_text().replace("virtio_blk.ko:", f"virtio_blk.ko{ending}:"))
    module = files.modules / f"kernel/drivers/virtio_blk.ko{ending}"
    cache = Cache(tmp_path / "cache")
    module.write_bytes(packed(bytes(33 << 20), ending))
    with pytest.raises(Unbootable, match=r"virtio_blk.*unpacks to more than 32 MiB"):
        prepare(files, image, cache, soon())
    module.write_bytes(packed(bytes(1 << 20), ending))
    assert prepare(files, image, cache, soon()).initramfs.exists()


@pytest.mark.fault(phase="initramfs", fault="package floods", outcome="an error that names the module")
def test_a_module_whose_dictionary_takes_too_much_memory_is_refused(
    files: BootFiles, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initramfs, "_XZ_MEMORY", 1 << 20)  # the default dictionary has 8 MiB
    with pytest.raises(Unbootable, match=r"virtio_pci.ko.xz is damaged: Memory usage limit"):
        prepare(files, image, Cache(tmp_path / "cache"), soon())


@pytest.mark.fault(phase="initramfs", fault="package damaged", outcome="an error that names the module")
@pytest.mark.parametrize("content", [b"no xz", lzma.compress(bytes(range(256)) * 99)[:60]])
def test_a_damaged_module_is_refused(files: BootFiles, image: Image, tmp_path: Path, content: bytes) -> None:
    (files.modules / "kernel/drivers/virtio_pci.ko.xz").write_bytes(content)
    with pytest.raises(Unbootable, match=r"virtio_pci.ko.xz is damaged: "):
        prepare(files, image, Cache(tmp_path / "cache"), soon())
