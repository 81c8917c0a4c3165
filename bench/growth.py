"""What more work costs: more cells per kernel, more kernels, and a run of ten thousand cells
without any guest.
"""

from __future__ import annotations

from bench import synthetic
from bench.figure import Figure
from bench.guests import MACHINES, PROJECT, cells_of, kernels, make_templates, seconds_of
from vms.cache import Cache
from vms.capacity import processors
from vms.kernels.fetch import cached
from vms.kernels.kernel import Kernel

KERNEL = "6.12"
CELLS = (1, 4, 16, 64)
KERNELS = (1, 2, 4, 8, 16, 32)
CELLS_EACH = 4
MOST_KERNELS = 32


def measure() -> list[Figure]:
    """Runs cells that do nothing, as many at a time as there are processors."""
    return [*cells(), *kernels_more_and_more(), *synthetic.figures()]


def cells() -> list[Figure]:
    """More cells on one kernel."""
    of, jobs = kernels(KERNEL), processors()
    make_templates(of, 1)
    each = {number: seconds_of(cells_of(of, number), MACHINES, jobs) / number for number in CELLS}
    return [
        Figure(
            f"cells_{number}",
            seconds,
            "s/cell",
            f"{number} cells on one kernel, {jobs} at a time",
            each[CELLS[-1]],
            f"{CELLS[-1]} cells",
        )
        for number, seconds in each.items()
    ]


def kernels_more_and_more() -> list[Figure]:
    """A few cells on more and more kernels: on those that the cache holds, since downloading is not
    what is measured.
    """
    held = held_kernels()[:MOST_KERNELS]
    make_templates(held, processors())
    each = {
        number: seconds_of(cells_of(held[:number], CELLS_EACH), MACHINES, processors()) / number
        for number in KERNELS
        if number <= len(held)
    }
    return [
        Figure(
            f"kernels_{number}",
            seconds,
            "s/kernel",
            f"{CELLS_EACH} cells on each of {number} kernels: {seconds / each[1]:.2f} of one's",
        )
        for number, seconds in each.items()
    ]


def held_kernels() -> tuple[Kernel, ...]:
    """Debian's cloud kernels in the cache, newest first."""
    cache = Cache.default()
    return tuple(
        kernel
        for kernel in reversed(PROJECT.builds.kernels)
        if kernel.flavour == "cloud" and cached(kernel, cache)
    )
