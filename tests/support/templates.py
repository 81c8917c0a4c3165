"""Templates of a kernel that is none, for QEMU's fake."""

from __future__ import annotations

import json
from pathlib import Path

from vms.agent import Agent
from vms.cache import Cache
from vms.command import Accelerator
from vms.deadline import Deadline
from vms.hardware import Hardware
from vms.image import Image
from vms.initramfs import Bootable
from vms.kernels.kernel import BootFiles, Kernel
from vms.template import Template, make_template

KERNEL = Kernel("6.1.0", "test:6.1.0", "6.1", "6.1.0", "cloud", "6.1.0-1", "test", ())
FILES = BootFiles(KERNEL, "6.1.0-cloud", Path("/bin/sh"), Path("/no/modules"), None, {})
BOOTABLE = Bootable(FILES, Path("/no/initramfs"), Path("/no/modules.squashfs"), "key")
IMAGE = Image(Path("/no/root.squashfs"), Path("/no/busybox"), "00", {})
TCG = Accelerator("tcg", "qemu64", "the test asked for it")
HARDWARE = Hardware(memory=8)


def make(cache: Cache, agent: Agent) -> Template:
    return make_template(BOOTABLE, IMAGE, TCG, agent, cache, HARDWARE)


def answers(template: Template) -> bool:
    with template.start() as guest:
        return bool(
            json.loads(guest.ask(b'{"id": "1", "do": "ping"}', Deadline(20, "the answer")).whole)["ready"]
        )
