"""The guests of `vms/`, as a run needs them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from matrix.manifest import Surroundings
from vms.cache import Cache
from vms.command import Accelerator, Hardware, Machine, command_line, render
from vms.deadline import Deadline
from vms.guest import Agent
from vms.image import Image, build_image
from vms.initramfs import prepare
from vms.kernels import BootFiles, Kernel, cached, fetch
from vms.kernels.requirements import check
from vms.qemu import find_qemu
from vms.settings import Debian
from vms.template import Template, make_template

_IMAGE_SECONDS = 1200
_INITRAMFS_SECONDS = 300
_AGENT = Agent(Path(__file__).parents[1] / "guest", "guest.agent")


@dataclass
class Machines:
    """Guests on this machine. `requested` is the accelerator the user asked for: auto, kvm or tcg."""

    debian: Debian
    cache: Cache
    requested: str = "auto"
    offline: bool = False

    def prepare(self) -> Surroundings:
        """Gets image and accelerator."""
        accelerator = self.accelerator
        return Surroundings(
            image=self.image.sha256,
            agent=_AGENT.digest,
            qemu=find_qemu().version,
            accelerator=accelerator.name,
            why=accelerator.why,
            cpu=_host_cpu(),
            image_packages=self.image.packages,
        )

    def fetch(self, kernel: Kernel) -> BootFiles:
        """The kernel's files, verified, and known to be able to boot a guest."""
        files = fetch(kernel, self.cache, offline=self.offline)
        check(files)
        return files

    def template(self, files: BootFiles, cpus: int) -> Template:
        """Boots the kernel once, or takes the template of an earlier boot."""
        deadline = Deadline(_INITRAMFS_SECONDS, f"making what boots {files.kernel.name}")
        bootable = prepare(files, self.image, self.cache, deadline)
        return make_template(bootable, self.image, self.accelerator, _AGENT, self.cache, Hardware(cpus=cpus))

    def command(self, kernel: Kernel, cpus: int) -> str:
        """QEMU's command line that boots the kernel, as text for a shell; DIRECTORY stands for the guest's own, made when it starts."""
        if not cached(kernel, self.cache):
            return f"# {kernel.name} is not in the cache yet; the run fetches its {kernel.size / 1e6:.0f} MB first"
        files = self.fetch(kernel)
        bootable = prepare(files, self.image, self.cache, Deadline(_INITRAMFS_SECONDS, f"making what boots {kernel.name}"))
        machine = Machine(self.accelerator, Hardware(cpus=cpus), files.vmlinuz, bootable.initramfs, self.image.squashfs, bootable.modules)
        return render(command_line(find_qemu().path, machine, Path("DIRECTORY")))

    @cached_property
    def image(self) -> Image:
        """The userland all guests share."""
        return build_image(self.cache, self.debian, Deadline(_IMAGE_SECONDS, "building the guests' image"))

    @cached_property
    def accelerator(self) -> Accelerator:
        """What executes the guests' instructions."""
        return Accelerator("tcg", "qemu64,+rdrand", "stand-in")


def _host_cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
