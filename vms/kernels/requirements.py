"""Checks from a kernel's configuration and modules, before a guest is started, whether it can boot
a guest.

What an experiment needs beyond that is not checked here: a kernel that lacks it answers
`unsupported`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from vms.errors import Unbootable
from vms.kernels.kernel import BootFiles

Options = Mapping[str, tuple[str, str | None]]
"""For each option its purpose, and the module it can be built as."""

OPTIONS: Options = {
    "64BIT": ("the image is built for x86-64", None),
    "BINFMT_ELF": ("running programs", None),
    "BINFMT_SCRIPT": ("running scripts", None),
    "MULTIUSER": ("running experiments as an ordinary user", None),
    "FUTEX": ("running Python", None),
    "EPOLL": ("running the SSH server and the agent", None),
    "UNIX98_PTYS": ("shells over SSH", None),
    "SERIAL_8250_CONSOLE": ("the console, which is logged", None),
    "BLK_DEV_INITRD": ("the initramfs", None),
    "DEVTMPFS": ("device files", None),
    "PROC_FS": ("/proc", None),
    "SYSFS": ("/sys", None),
    "TMPFS": ("the writable half of the root file system", None),
    "NET_NS": ("a network namespace for each experiment", None),
    "INET": ("every experiment", None),
    "PCI": ("virtio devices", None),
    "UNIX": ("the SSH server", "unix"),
    "VIRTIO_PCI": ("virtio devices", "virtio_pci"),
    "VIRTIO_BLK": ("the disks with the image and the modules", "virtio_blk"),
    "VIRTIO_CONSOLE": ("the ports to the host", "virtio_console"),
    "HW_RANDOM_VIRTIO": ("entropy before the first SSH key", "virtio_rng"),
    "SQUASHFS": ("the image", "squashfs"),
    "SQUASHFS_LZ4": ("the image, which is packed with lz4", None),
    "OVERLAY_FS": ("the writable root file system", "overlay"),
}
_OF_THE_IMAGE = ("UNIX98_PTYS", "VIRTIO_BLK", "HW_RANDOM_VIRTIO", "SQUASHFS", "SQUASHFS_LZ4", "OVERLAY_FS")
VIRTME_OPTIONS: Options = {name: use for name, use in OPTIONS.items() if name not in _OF_THE_IMAGE} | {
    "NET_9P": ("the host's files, over 9p", "9pnet"),
    "NET_9P_VIRTIO": ("the host's files, over 9p", "9pnet_virtio"),
    "9P_FS": ("the host's files, over 9p", "9p"),
}
"""What it takes to boot with the host's files, through virtme-ng."""


def check(files: BootFiles, options: Options = OPTIONS) -> None:
    """Raises Unbootable if the kernel cannot boot a guest that takes these options, with every
    option it lacks and its purpose.
    """
    lacking = missing(files, options)
    if lacking:
        listed = "".join(f"\n    {line}" for line in lacking)
        raise Unbootable(
            f"{files.kernel.name} ({files.version}) cannot boot a guest; its configuration lacks{listed}"
        )


def missing(files: BootFiles, options: Options = OPTIONS) -> tuple[str, ...]:
    """What the boot of a guest needs and the kernel lacks, one line each; empty if it can boot.

    Without a configuration only options that can be modules are checked: each must be a module or
    be listed as built in. For a kernel without configuration and modules nothing is reported.
    """
    modules = _modules(files.modules)
    if files.config:
        values = dict(
            re.findall(r"^CONFIG_(\w+)=([ym])$", files.config.read_text(errors="replace"), re.MULTILINE)
        )
        lacking = []
        for option, (use, module) in options.items():
            if option not in values:
                lacking.append(f"CONFIG_{option}, for {use}")
            elif values[option] == "m" and module not in modules:
                lacking.append(f"CONFIG_{option}=m, for {use}: the module {module} is not among its modules")
        return tuple(lacking)
    if not modules:
        return ()
    return tuple(
        f"CONFIG_{option}, for {use}: {module} is neither among its modules nor listed as built in"
        for option, (use, module) in options.items()
        if module and module != "unix" and module not in modules
    )


def _modules(directory: Path) -> frozenset[str]:
    """The names of all modules, installed or built in, as the kernel spells them: with
    underscores.
    """
    # modules.builtin is as the package has it.
    text = (directory / "modules.builtin").read_text(errors="replace")
    lines = [*text.splitlines(), *(directory / "modules.dep").read_text(errors="replace").splitlines()]
    return frozenset(
        Path(line.partition(":")[0]).name.partition(".ko")[0].replace("-", "_") for line in lines
    )
