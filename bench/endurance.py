"""Twenty thousand cells that do nothing, of guests that go on answering: does a cell cost more, or
a guest take more, the longer that goes on?
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from bench.figure import Figure
from bench.guests import answered, processor_seconds, question, template
from matrix.run.idle import idle
from vms.capacity import children, resident

KERNEL = "6.12"
CELLS = 20_000
_SAMPLES = 40


def measure() -> list[Figure]:
    """Asks one cell after the other."""
    cloned = template(KERNEL)
    asked = replace(question("nothing", number="0"), own=False)
    seconds, memory, names, left = [processor_seconds()], [], set(), 0
    each = CELLS // _SAMPLES
    try:
        for _ in range(_SAMPLES):
            for _ in range(each):
                outcome = answered(cloned, asked)
                names.add(outcome.asked.guest)
                left += bool(outcome.asked.left)
            seconds.append(processor_seconds())
            memory.append(max(map(resident, children()), default=0) / 1e6)
    finally:
        idle.end_all()
    costs = [1000 * (after - before) / each for before, after in itertools.pairwise(seconds)]
    return figures(costs, memory, len(names), left)


def figures(costs: list[float], memory: list[float], guests: int, left: int) -> list[Figure]:
    """From the milliseconds of a processor that a cell took, and the MB of the guest, over time."""
    what = f"{CELLS:,} cells that do nothing ({KERNEL})"
    return [
        Figure(
            "last_ms",
            costs[-1],
            "ms",
            f"of a processor for each of the last of {what}",
            costs[0],
            "each of the first",
            "1.0x",
            series=costs,
        ),
        Figure("guests", guests, "guests", f"answered {what}"),
        Figure("left", left, "cells", "left something in their guest", goal="0"),
        Figure(
            "guest_memory",
            memory[-1],
            "MB",
            "of the guest at the end, without what it shares with its template",
            memory[0],
            "at the beginning",
            "bounded",
            series=memory,
        ),
    ]
