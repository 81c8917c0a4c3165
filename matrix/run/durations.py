"""How long cells take, as earlier runs measured it: orders a run and forecasts its end."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from matrix.plan.plan import Cell, variant_name

_RUNS = 30  # at most this many runs are read, the newest first

Seconds = Callable[[Cell], float | None]
"""How many seconds a cell is expected to take; None if no run measured it."""


def measured_seconds(results: Path, besides: Path | None = None) -> Seconds:
    """Returns a function that estimates how many seconds a cell takes: the median of its experiment
    and variant over the kernels of the newest run that has them.

    `results` is the directory of all runs, the published one included; the run `besides` is not
    read.
    """
    medians: dict[tuple[str, str], float] = {}
    for path in list(_newest_first(results))[:_RUNS]:
        if path != besides:
            for key, seconds in _measured(path).items():
                medians.setdefault(key, statistics.median(seconds))
    return lambda cell: medians.get(cell.key[1:])


def _newest_first(results: Path) -> Iterator[Path]:
    started = {}
    for path in results.glob("*/results.json"):
        if not path.parent.is_symlink():
            try:
                manifest = json.loads((path.parent / "manifest.json").read_bytes())
                started[path.parent] = int(manifest.get("number", 0)), str(manifest["started"])
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue  # damaged: only the order depends on it
    return iter(sorted(started, key=lambda path: (started[path], path), reverse=True))


def _measured(run: Path) -> dict[tuple[str, str], list[float]]:
    """The seconds of each experiment and variant; nothing if the run is damaged."""
    measured = defaultdict(list)
    try:
        for record in json.loads((run / "results.json").read_bytes()):
            if record["status"] != "error":
                key = record["experiment"], variant_name(record["variant"])
                measured[key].append(float(record["seconds"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return measured
