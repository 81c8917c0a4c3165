from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.packages import entry
from vms.errors import Unbootable
from vms.kernels.kernel import BootFiles
from vms.kernels.requirements import OPTIONS, check, missing

ALL = "".join(f"CONFIG_{option}=y\n" for option in OPTIONS)


def files(directory: Path, config: str | None, modules: str = "", builtin: str = "") -> BootFiles:
    (directory / "modules.dep").write_text(modules)
    (directory / "modules.builtin").write_text(builtin)
    if config is not None:
        (directory / "config").write_text(config)
    return BootFiles(
        entry("6.1", "6.1.1-1"),
        "6.1.1",
        directory / "vmlinuz",
        directory,
        directory / "config" if config is not None else None,
        {},
    )


def test_a_kernel_with_every_required_option_is_accepted(tmp_path: Path) -> None:
    check(files(tmp_path, ALL))


def test_a_list_of_built_in_modules_that_is_no_text_is_read(tmp_path: Path) -> None:
    found = files(tmp_path, ALL)
    (tmp_path / "modules.builtin").write_bytes(b"kernel/\xff.ko\n")
    check(found)


@pytest.mark.parametrize("absent", ["# CONFIG_DEVTMPFS is not set\n", ""])
def test_each_missing_option_is_named_with_its_use(tmp_path: Path, absent: str) -> None:
    config = ALL.replace("CONFIG_DEVTMPFS=y\n", absent).replace("CONFIG_VIRTIO_BLK=y\n", "")
    with pytest.raises(Unbootable) as error:
        check(files(tmp_path, config))
    assert str(error.value).split("\n") == [
        "6.1.1 (6.1.1) cannot boot a guest; its configuration lacks",
        "    CONFIG_DEVTMPFS, for device files",
        "    CONFIG_VIRTIO_BLK, for the disks with the image and the modules",
    ]


def test_an_option_built_as_a_module_needs_its_module_file(tmp_path: Path) -> None:
    config = ALL.replace("CONFIG_OVERLAY_FS=y", "CONFIG_OVERLAY_FS=m").replace(
        "HW_RANDOM_VIRTIO=y", "HW_RANDOM_VIRTIO=m"
    )
    present = files(
        tmp_path,
        config,
        modules="kernel/fs/overlayfs/overlay.ko.xz:\nkernel/drivers/char/hw_random/virtio-rng.ko: a.ko\n",
    )
    assert missing(present) == ()
    (lacking,) = missing(files(tmp_path, config, modules="kernel/fs/overlayfs/overlay.ko.xz:\n"))
    assert "CONFIG_HW_RANDOM_VIRTIO=m" in lacking
    assert "the module virtio_rng is not among its modules" in lacking


def test_without_a_configuration_the_modules_decide(tmp_path: Path) -> None:
    builtin = "".join(f"kernel/{name}.ko\n" for name in ("virtio_pci", "virtio_blk", "virtio_console"))
    modules = "kernel/overlay.ko:\nkernel/virtio-rng.ko.zst:\n"
    (lacking,) = missing(files(tmp_path, None, modules, builtin))
    assert lacking.startswith("CONFIG_SQUASHFS,")


def test_without_configuration_and_modules_a_kernel_is_not_refused(tmp_path: Path) -> None:
    assert missing(files(tmp_path, None)) == ()
