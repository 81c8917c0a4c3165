"""How long cells take, as an earlier run measured it, so that the longest can run first."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from matrix.plan.plan import Cell, variant_name


def expected_seconds(run: Path) -> Callable[[Cell], float]:
    """Returns a function that estimates how many seconds a cell takes: the median of its experiment
    and variant over the kernels of the newest run other than `run`.

    A cell that the other run lacks counts as long as its experiment's limit, so that it starts
    early in case it is long.
    """
    measured = defaultdict(list)
    for path in sorted(run.parent.glob("*/results.json"), reverse=True):
        if path.parent.is_symlink() or path.parent == run:
            continue
        try:
            for record in json.loads(path.read_bytes()):
                measured[record["experiment"], variant_name(record["variant"])].append(
                    float(record["seconds"])
                )
        except (OSError, ValueError, KeyError, TypeError):
            # Damaged or of another version: try an older run, since only the order depends on it.
            measured.clear()
            continue
        break
    medians = {key: statistics.median(seconds) for key, seconds in measured.items()}
    return lambda cell: medians.get(cell.key[1:], cell.experiment.seconds)
