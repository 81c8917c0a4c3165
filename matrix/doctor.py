"""What this host has, what is missing, and which accelerator a run would use."""

from __future__ import annotations

from collections.abc import Iterator

from matrix.plan.project import Project
from matrix.run.machines import Machines
from vms.doctor import Finding
from vms.doctor import examine as examine_host
from vms.errors import MatrixError
from vms.kernels.select import select


def examine(project: Project, accelerator: str) -> Iterator[Finding]:
    """Yields one finding after the other.

    Proving KVM may have to fetch a kernel and build the image first.
    """
    yield from examine_host(project.config.debian, project.cache)
    machines = Machines(project, accelerator)
    try:
        kernels = select(project.specs(), project.builds, project.root).kernels
    except MatrixError as error:
        yield Finding("kernels", False, str(error), "no accelerator was tried: that takes a kernel")
        return
    yield Finding("kernels", True, ", ".join(kernel.name for kernel in kernels))
    try:
        chosen = machines.accelerator(kernels)
    except MatrixError as error:
        yield Finding("accelerator", False, str(error), "fix the problem above, or use --accel tcg")
    else:
        yield Finding("accelerator", True, f"{chosen.name}: {chosen.why}")
