"""What this host has, what is missing, and which accelerator a run would use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from matrix.plan.config import Config
from matrix.run.machines import Machines
from vms.cache import Cache
from vms.doctor import Finding
from vms.doctor import examine as examine_host
from vms.errors import MatrixError
from vms.kernels.catalogue import Catalogue
from vms.kernels.resolve import resolve_all


def examine(root: Path, config: Config, accelerator: str) -> Iterator[Finding]:
    """One finding after the other.

    `root` is the checkout. Proving KVM may have to fetch a kernel and build the image first.
    """
    cache = Cache.default()
    yield from examine_host(root / "debian-packages.txt", config.debian, cache)
    machines = Machines(config.debian, cache, accelerator)
    try:
        kernels = resolve_all(config.kernels, Catalogue.load(config.debian, cache), root)
        yield Finding("kernels", True, ", ".join(kernel.name for kernel in kernels))
        chosen = machines.accelerator(kernels)
    except MatrixError as error:
        yield Finding("accelerator", False, str(error), "fix the problem above, or use --accel tcg")
    else:
        yield Finding("accelerator", True, f"{chosen.name}: {chosen.why}")
