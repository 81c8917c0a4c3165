"""How long cells take, as earlier runs measured it: orders a run and forecasts its end."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from matrix.plan.plan import Cell, variant_name
from matrix.results.published import is_published, read_seconds
from vms.decode import Undecodable, decode
from vms.errors import UsageError

_RUNS = 30  # at most this many runs are read, the newest first

Seconds = Callable[[Cell], float | None]
"""How many seconds a cell is expected to take; None if no run measured it."""


class _Started(msgspec.Struct):
    started: str
    number: int = 0


class _Measured(msgspec.Struct):
    experiment: str
    variant: dict[str, str]
    status: str
    seconds: float


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
    for path in (file.parent for file in results.glob("*/manifest.json")):
        if not path.is_symlink() and (is_published(path) or (path / "results.json").is_file()):
            try:
                manifest = decode((path / "manifest.json").read_bytes(), _Started)
                started[path] = manifest.number, manifest.started
            except (OSError, Undecodable):
                continue  # damaged: only the order depends on it
    return iter(sorted(started, key=lambda path: (started[path], path), reverse=True))


def _measured(run: Path) -> dict[tuple[str, str], list[float]]:
    """The seconds of each experiment and variant; nothing if the run is damaged."""
    measured = defaultdict(list)
    try:
        if is_published(run):
            told = read_seconds(run)
        else:
            cells = decode((run / "results.json").read_bytes(), list[_Measured])
            told = [(cell.experiment, cell.variant, cell.seconds) for cell in cells if cell.status != "error"]
    except (OSError, Undecodable, UsageError):
        return {}
    for experiment, variant, seconds in told:
        measured[experiment, variant_name(variant)].append(seconds)
    return measured
