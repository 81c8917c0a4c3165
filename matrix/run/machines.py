"""The guests of this machine, as a run uses them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from matrix.plan.plan import Plan
from matrix.plan.project import Project
from matrix.results.manifest import Surroundings
from matrix.run import guests
from matrix.run.durations import measured_seconds
from matrix.run.executor import Executor, LocalExecutor
from matrix.run.forecast import Forecast, forecast
from vms.accel import check_request, choose_accelerator
from vms.agent import Agent
from vms.command import Accelerator, Machine, command_line, render
from vms.deadline import Deadline
from vms.hardware import Hardware
from vms.image import Image, build_image, held_image
from vms.initramfs import Bootable, prepare
from vms.interrupt import interrupt
from vms.kernels.burden import burden
from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import cached, fetch
from vms.kernels.kernel import BootFiles, Kernel
from vms.kernels.requirements import OPTIONS, check
from vms.program import CODE
from vms.qemu_binary import find_qemu
from vms.template import Template, make_template
from vms.virtme import VirtmeMachine

_PUBLISHED = "reference"  # the run that the repository holds, under results/
_AHEAD = 2  # kernels fetched at a time while the image is built
_IMAGE_SECONDS = 1200
_INITRAMFS_SECONDS = 300
_GUEST = CODE / "guest"


class Local(ABC):
    """Guests on this machine, whatever boots them. `requested` is the accelerator that the user
    requested: auto, kvm or tcg.

    With a `catalogue`, the message about a kernel that is gone from its archive names the closest
    builds that are available. With an `image`, none is built. `memory` is that of a guest in MiB, 0
    the usual amount.
    """

    _options = OPTIONS
    """What a kernel must have to boot a guest."""

    def __init__(
        self,
        project: Project,
        requested: str = "auto",
        catalogue: Catalogue | None = None,
        image: Image | None = None,
        memory: int = 0,
    ) -> None:
        check_request(requested)
        self.project = project
        self.requested = requested
        self._catalogue = catalogue
        self._agent = Agent(_GUEST, "guest.agent", project.own)
        self._given = image
        self._memory = memory
        self._accelerator: Accelerator | None = None

    def executor(self, jobs: int) -> Executor:
        """The executor of this machine."""
        return LocalExecutor(jobs)

    def prepare(self, kernels: Sequence[Kernel]) -> Surroundings:
        """Builds the image and chooses the accelerator.

        Kernels that are not cached are fetched at the same time: both take a minute, of network and
        CPU.
        """
        ahead = ThreadPoolExecutor(_AHEAD, "ahead")
        for kernel in kernels:
            if not cached(kernel, self.project.cache):
                ahead.submit(self.fetch, kernel)  # errors are reported when the run itself fetches it
        try:
            accelerator = self.accelerator(kernels)
            return Surroundings(
                image=self.image.sha256,
                agent=self._agent.digest,
                qemu=find_qemu().version,
                accelerator=accelerator.name,
                why=accelerator.why,
                cpu=_host_cpu(),
                image_packages=self.image.packages,
            )
        except BaseException:
            interrupt()
            raise
        finally:
            ahead.shutdown(wait=False, cancel_futures=True)

    def accelerator(self, kernels: Sequence[Kernel]) -> Accelerator:
        """The accelerator that executes the guests' instructions.

        If KVM has to be proven, this boots the newest of these kernels that is from Debian.
        """
        if self._accelerator is None:
            tried = sorted(kernels, key=lambda kernel: kernel.scheme == "debian")[-1]
            tcg = Accelerator("tcg", "", "")
            self._accelerator = choose_accelerator(
                self.requested, self.project.cache, lambda: self._machine(self.fetch(tried), Hardware(), tcg)
            )
        return self._accelerator

    def fetch(self, kernel: Kernel) -> BootFiles:
        """Fetches and verifies the kernel's files, and checks that they can boot a guest."""
        files = fetch(kernel, self.project.cache, offline=self.project.offline, catalogue=self._catalogue)
        check(files, self._options)
        return files

    @abstractmethod
    def template(self, files: BootFiles, hardware: Hardware) -> guests.Template:
        """What guests of a kernel are started from."""

    def forecast(self, plan: Plan, results: Path, jobs: int) -> Forecast:
        """What a run of the plan will take, by what the cache lacks and how long cells took in
        earlier runs under `results`. The published run was another machine's, and says nothing of
        this one.
        """
        cache = self.project.cache
        return forecast(
            plan,
            [kernel for kernel in plan.kernels if not cached(kernel, cache)],
            image=self._given is None and held_image(cache, self.project.config.image.more) is None,
            measured=measured_seconds(results, results / _PUBLISHED),
            jobs=jobs,
        )

    def command(self, kernel: Kernel, hardware: Hardware) -> str:
        """QEMU's command line that boots the kernel, as text for bash. DIRECTORY stands for the
        guest's own directory, made when it starts.
        """
        if not cached(kernel, self.project.cache):
            return (
                f"# {kernel.name} is not in the cache yet; the run fetches its {kernel.size / 1e6:.0f} MB"
                " first"
            )
        return self._rendered(self.fetch(kernel), hardware)

    @abstractmethod
    def _rendered(self, files: BootFiles, hardware: Hardware) -> str:
        """The command line that boots the kernel, as `command` returns it."""

    @abstractmethod
    def _machine(
        self, files: BootFiles, hardware: Hardware, accelerator: Accelerator
    ) -> Machine | VirtmeMachine:
        """What boots the kernel once."""

    def _hardware(self, files: BootFiles, hardware: Hardware) -> Hardware:
        """What a guest of the kernel has; more memory if the kernel checks its own."""
        return replace(hardware, memory=round((self._memory or hardware.memory) * burden(files).memory))

    @cached_property
    def image(self) -> Image:
        """The userland of all guests; built now if it is neither given nor cached."""
        return self._given or build_image(
            self.project.cache,
            self.project.config.debian,
            Deadline(_IMAGE_SECONDS, "building the guests' image"),
            self.project.config.image.more,
        )


class Machines(Local):
    """Guests on this machine that have one image and are clones of templates."""

    def template(self, files: BootFiles, hardware: Hardware) -> Template:
        """The template of a kernel, from the cache or from a boot now."""
        bootable = self._bootable(files)
        return make_template(
            bootable,
            self.image,
            self.accelerator([files.kernel]),
            self._agent,
            self.project.cache,
            self._hardware(files, hardware),
        )

    def _rendered(self, files: BootFiles, hardware: Hardware) -> str:
        return render(command_line(find_qemu(), self.machine(files, hardware), Path("DIRECTORY")))

    def machine(self, files: BootFiles, hardware: Hardware) -> Machine:
        """What boots the kernel once, without a template."""
        return self._machine(files, hardware, self.accelerator([files.kernel]))

    def _machine(self, files: BootFiles, hardware: Hardware, accelerator: Accelerator) -> Machine:
        bootable = self._bootable(files)
        return Machine(
            accelerator,
            self._hardware(files, hardware),
            files.vmlinuz,
            bootable.initramfs,
            self.image.squashfs,
            bootable.modules,
        )

    def _bootable(self, files: BootFiles) -> Bootable:
        return prepare(
            files,
            self.image,
            self.project.cache,
            Deadline(_INITRAMFS_SECONDS, f"making what boots {files.kernel.name}"),
        )


def _host_cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
