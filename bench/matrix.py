"""A whole default `./invoke matrix`: with nothing but downloads in the cache, with everything in
it, and the night after it.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.figure import Figure
from bench.guests import ROOT, Silent, elsewhere
from matrix.analysis.ledger.read import read_ledger
from matrix.baseline.baseline import Baseline
from matrix.invocation import RunRequest, run_matrix
from matrix.nightly.nightly import nightly
from matrix.plan.plan import plan_choices
from matrix.plan.project import Project
from matrix.run.machines import Machines
from vms.cache import Cache
from vms.capacity import processors
from vms.errors import HostError
from vms.kernels.select import select

_SECONDS = 4 * 3600
_DOWNLOADS = ("apt", "kernels", "images", "accelerators")


@dataclass(frozen=True)
class Taken:
    """How many cells there are, and the seconds that each of the three took."""

    cells: int
    cold: float
    warm: float
    unchanged: float


def measure() -> list[Figure]:
    """In a process of its own, which knows the user's experiments and not those that measure."""
    taken = msgspec.json.decode(elsewhere("bench.matrix", _SECONDS), type=Taken)
    return [
        Figure(
            "cold_seconds",
            taken.cold,
            "s",
            f"{taken.cells} cells; kernels and image were downloaded and unpacked, nothing else was made",
        ),
        Figure("warm_seconds", taken.warm, "s", "the same with templates in the cache"),
        Figure("unchanged_seconds", taken.unchanged, "s", "a night in which nothing is new"),
        Figure(
            "warm_cell_seconds",
            taken.warm / taken.cells,
            "s",
            f"a cell of the warm run, {processors()} at a time",
        ),
    ]


def take() -> Taken:
    """Runs the matrix twice and a night."""
    project = Project.open(ROOT)
    plan = plan_choices(select(project.specs(), project.builds, ROOT).kernels, project.choices())
    ahead = Machines(project, catalogue=project.builds)
    ahead.prepare(plan.kernels)
    for kernel in plan.kernels:
        ahead.fetch(kernel)
    times = []
    ledger = read_ledger()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=project.cache.root.parent) as directory:
        cache, results = Path(directory) / "cache", Path(directory) / "results"
        cache.mkdir()
        for kind in _DOWNLOADS:
            (cache / kind).symlink_to(project.cache.root / kind)
        for _ in ("cold", "warm"):
            machines = Machines(replace(project, cache=Cache(cache)), catalogue=project.builds)
            began = time.perf_counter()
            result = run_matrix(
                RunRequest(
                    plan, project.experiments, ledger, machines, results, processors(), ("matrix",), Silent()
                )
            )
            times.append(time.perf_counter() - began)
        (result.run / "nightly.json").write_text("{}")  # the sign by which a night knows answers
        request = RunRequest(plan, project.experiments, ledger, machines, results, processors(), (), Silent())
        began = time.perf_counter()
        night = nightly(request, Baseline(), datetime.now(UTC).date())
        times.append(time.perf_counter() - began)
    if night.run:
        raise HostError(
            f"the night asked {sum(night.counts.values())} cells again: they had ended in `error`, or the day"
            " was over"
        )
    cold, warm, unchanged = times
    return Taken(len(plan.cells), cold, warm, unchanged)


if __name__ == "__main__":
    print(msgspec.json.encode(take()).decode())
