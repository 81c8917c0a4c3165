"""Describes what a run would do, for `--dry-run`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from matrix.plan.plan import Plan
from matrix.report.words import counted
from vms.hardware import Hardware
from vms.kernels.kernel import Kernel


def plan_text(plan: Plan, forecast: Sequence[str], command: Callable[[Kernel, Hardware], str]) -> str:
    """What the run will take, the cells of each kernel, and the command that starts its guests;
    `command` returns it for a kernel and the hardware of a guest.
    """
    parts = [
        f"{counted(len(plan.cells), 'cell')}: {counted(len(plan.kernels), 'kernel')},"
        f" {counted(len(plan.experiments), 'experiment')}"
    ]
    parts += forecast
    for kernel in plan.kernels:
        cells = plan.of(kernel)
        times = Counter(cell.experiment.name for cell in cells)
        parts += ["", f"{kernel.name} ({kernel.id}): {counted(len(cells), 'cell')}"]
        parts.append(
            "  " + ", ".join(name + (f" x{number}" if number > 1 else "") for name, number in times.items())
        )
        for hardware in sorted({cell.hardware for cell in cells}):
            parts += ["", command(kernel, hardware)]
    return "\n".join(parts) + "\n"
