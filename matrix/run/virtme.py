"""The guests of this machine through virtme-ng, as a run uses them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from matrix.plan.project import Project
from matrix.results.manifest import Surroundings
from matrix.run.guests import Template
from matrix.run.machines import Local, Machines
from vms.command import Accelerator
from vms.errors import Unbootable, UsageError
from vms.hardware import Hardware
from vms.kernels.burden import burden
from vms.kernels.catalogue import Catalogue
from vms.kernels.kernel import BootFiles, Kernel
from vms.kernels.requirements import VIRTME_OPTIONS
from vms.program import CODE
from vms.runtime import private_directory
from vms.suggest import suggestion
from vms.virtme import VirtmeMachine, VirtmeTemplate, check_seen, host_userland

QEMU, VIRTME = "qemu", "virtme"


class VirtmeMachines(Local):
    """Guests on this machine that boot with its own files as their userland.

    Raises HostError that names what this host lacks for them.
    """

    _options = VIRTME_OPTIONS

    def __init__(self, project: Project, requested: str = "auto", catalogue: Catalogue | None = None) -> None:
        super().__init__(project, requested, catalogue, host_userland())
        self._seen = (project.cache.root, Path(sys.prefix), Path(sys.base_prefix))
        check_seen(*self._seen, CODE, *self._agent.parts.values())

    def prepare(self, kernels: Sequence[Kernel]) -> Surroundings:
        """Fetches the kernels and chooses the accelerator.

        Raises UsageError for kernels that virtme-ng cannot boot.
        """
        clouds = [kernel for kernel in kernels if kernel.scheme == "debian" and kernel.flavour == "cloud"]
        if clouds:
            raise UsageError(
                f"{', '.join(kernel.name for kernel in clouds)}: Debian's flavour `cloud` has no 9p, over"
                f" which virtme-ng gives a guest the host's files; ask for `-k {clouds[0].series}-generic`"
            )
        for kernel in kernels:
            self.fetch(kernel)
        return replace(super().prepare(kernels), backend=VIRTME)

    def fetch(self, kernel: Kernel) -> BootFiles:
        """Fetches and verifies the kernel's files, and checks that they can boot such a guest."""
        try:
            return super().fetch(kernel)
        except Unbootable as error:
            raise UsageError(f"--backend virtme: {error}") from error

    def template(self, files: BootFiles, hardware: Hardware) -> Template:
        """What boots guests of a kernel."""
        machine = self._machine(files, hardware, self.accelerator([files.kernel]))
        return VirtmeTemplate(files.kernel.name, machine, burden(files).slowness)

    def _rendered(self, files: BootFiles, hardware: Hardware) -> str:
        with private_directory() as directory:
            machine = self._machine(files, hardware, self.accelerator([files.kernel]))
            return shlex.join(machine.words(directory)).replace(str(directory), "DIRECTORY")

    def _machine(self, files: BootFiles, hardware: Hardware, accelerator: Accelerator) -> VirtmeMachine:
        return VirtmeMachine(
            accelerator, self._hardware(files, hardware), files.vmlinuz, self._agent, self._seen
        )


def check_backend(backend: str) -> None:
    """Raises UsageError unless there is such a backend."""
    if backend not in (QEMU, VIRTME):
        raise UsageError(f"--backend {backend!r}: {suggestion(backend, (QEMU, VIRTME))}")


def machines_of(
    backend: str, project: Project, requested: str = "auto", catalogue: Catalogue | None = None
) -> Machines | VirtmeMachines:
    """The guests of this machine through a backend. Raises what VirtmeMachines raises."""
    if backend == VIRTME:
        return VirtmeMachines(project, requested, catalogue)
    return Machines(project, requested, catalogue)
