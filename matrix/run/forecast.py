"""What a run will fetch, how long it will take and what the cache will hold, before it begins."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from matrix.plan.plan import Plan
from matrix.run.durations import Seconds
from vms.kernels.kernel import Kernel

# Measured on two processors (AMD EPYC) without KVM, in November 2026.
IMAGE_FETCHED = 45_000_000
"""Bytes of the Debian packages in the guests' image; 130 of trixie are 44.6 MB."""
_IMAGE_HELD = 77_000_000
_IMAGE_SECONDS = 60.0
_UNPACKED = 3  # an unpacked kernel with its initramfs and modules disk, to its packages
_TEMPLATE_HELD = 235_000_000
_BOOT_SECONDS = 14.0  # a template, while another one boots on the other processor
CELL_SECONDS = 0.5
"""Of a cell that no run on this machine has measured."""


@dataclass(frozen=True)
class Forecast:
    """An estimate of what a run takes.

    `kernels` are to be fetched, and the guests' image is to be built if `image`. `fetch` and `hold`
    are in bytes, what the cache holds already is not counted. `seconds` is without downloads, with
    `jobs` guests that compute at a time.
    """

    kernels: int
    image: bool
    fetch: int
    hold: int
    seconds: float
    jobs: int


def forecast(
    plan: Plan, missing: Collection[Kernel], *, image: bool, measured: Seconds, jobs: int
) -> Forecast:
    """The forecast for all cells of the plan.

    `missing` are its kernels that the cache does not hold. Templates of the other kernels are taken
    to be there. `image`: whether the guests' image has to be built.
    """
    fetched = [kernel for kernel in missing if kernel.scheme == "debian"]
    templates = {(cell.kernel.id, cell.hardware) for cell in plan.cells if cell.kernel in missing}
    work = sum(_seconds(measured(cell)) for cell in plan.cells if not cell.experiment.waits)
    work += _BOOT_SECONDS * len(templates)
    packages = sum(kernel.size for kernel in fetched)
    return Forecast(
        kernels=len(fetched),
        image=image,
        fetch=packages + image * IMAGE_FETCHED,
        hold=_UNPACKED * packages + _TEMPLATE_HELD * len(templates) + image * _IMAGE_HELD,
        seconds=work / jobs + image * _IMAGE_SECONDS,
        jobs=jobs,
    )


def _seconds(measured: float | None) -> float:
    return CELL_SECONDS if measured is None else measured
