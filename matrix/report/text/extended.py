"""How far the record is extended: what is to be asked, and a line for each build that was."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from matrix.analysis.extended import Step
from matrix.analysis.ledger.explain import Verdict
from matrix.plan.plan import Plan
from matrix.report.text.progress import about
from matrix.report.words import counted
from vms.text import shown

_CHARACTERS = 10_000
_NAMED = 12


def plans_text(plans: Sequence[Plan], kernels: int) -> str:
    """What will be asked, of how many kernels."""
    if not plans:
        return f"the record lacks nothing of {counted(kernels, 'build')}"
    cells = sum(len(plan.cells) for plan in plans)
    return f"the record lacks {counted(cells, 'cell')} of {len(plans)} of {counted(kernels, 'build')}"


def print_step(step: Step, console: Console) -> None:
    """Prints what came of a build, on a line, and what is left."""
    console.print(Text(shown(step_text(step), _CHARACTERS), "bold"), soft_wrap=True)


def step_text(step: Step) -> str:
    """`6.12.117: 370 cells in 4 minutes; as 6.12.118 but for max-zero; 60 builds left, ...`."""
    parts = [f"{step.kernel.name}: {counted(step.cells, 'cell')} in {about(step.seconds)}"]
    if step.errors:
        parts[0] += f", {len(step.errors)} without an answer: {step.errors[0].reason.partition(chr(10))[0]}"
    if step.leaks:
        names = ", ".join(
            dict.fromkeys(f"{one.experiment} after {one.leak.after}" for one in step.leaks if one.leak)
        )
        parts[0] += f", {len(step.leaks)} with another answer in a shared guest: {names}"
    if step.beside and len(step.errors) < step.cells:
        parts.append(f"as {step.beside.name}" + _but(step))
    if step.left:
        parts.append(f"{counted(step.left, 'build')} left, about {about(step.seconds_left)}")
    return "; ".join(parts)


def _but(step: Step) -> str:
    told = [
        name if verdict is Verdict.EXPLAINED else f"{name} ({verdict})"
        for name, verdict in sorted(step.changed.items(), key=lambda one: (-one[1].rank, one[0]))
    ]
    more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return f" but for {', '.join(told[:_NAMED])}{more}" if told else ""
