"""Ten thousand cells that were never run: planning, storing and rendering them, in a process of its
own so that its memory can be told.
"""

from __future__ import annotations

import itertools
import resource
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bench import generate
from bench.figure import Figure
from bench.guests import elsewhere
from matrix.analysis.analysis import analyse
from matrix.analysis.ledger.read import read_ledger
from matrix.plan.plan import make_plan
from matrix.report.write import write_reports
from matrix.results.directory import open_run
from matrix.results.judge import Judged
from vms.kernels.kernel import Kernel

KERNELS, EXPERIMENTS = 100, 100
_CONSOLE = "[    0.000000] Linux version\n" * 20


@dataclass(frozen=True)
class Taken:
    """Seconds, and the most memory the process had, in bytes."""

    planning: float
    storing: float
    rendering: float
    memory: int


def figures() -> list[Figure]:
    """Plans, stores and renders."""
    taken = msgspec.json.decode(elsewhere("bench.synthetic", 600), type=Taken)
    shares = {"planning": taken.planning, "storing": taken.storing, "rendering": taken.rendering}
    what = f"{KERNELS * EXPERIMENTS:,} synthetic cells"
    return [
        Figure(
            "synthetic_seconds",
            sum(shares.values()),
            "s",
            f"planning, storing and rendering {what}",
            shares=shares,
        ),
        Figure("synthetic_megabytes", taken.memory / 1e6, "MB", "the most memory that took"),
    ]


def take(number_of_kernels: int, number_of_experiments: int) -> Taken:
    """What this process needs for a run of that size."""
    entries, catalogue = generate.kernels(number_of_kernels), generate.experiments(number_of_experiments)
    kernels = [Kernel(e.name, e.id, e.series, e.release, e.flavour, e.version, e.suite, ()) for e in entries]
    records = list(generate.records(entries, tuple(catalogue)))
    times = [time.perf_counter()]
    plan = make_plan(kernels, list(catalogue.values()))
    assert len(plan.cells) == len(records)
    times.append(time.perf_counter())
    with tempfile.TemporaryDirectory(prefix="synthetic-") as directory:
        run = open_run(Path(directory), replace(generate.manifest(entries, tuple(catalogue)), finished=""))
        for record in records:
            files = generate.content(record)
            run.keep(Judged(record, {name: files[name] for name in record.evidence}), _CONSOLE)
        run.close(finished=True)
        times.append(time.perf_counter())
        write_reports(run.path, analyse(run.manifest, list(run.records.values()), catalogue, read_ledger()))
        times.append(time.perf_counter())
    planning, storing, rendering = (b - a for a, b in itertools.pairwise(times))
    return Taken(planning, storing, rendering, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    print(msgspec.json.encode(take(KERNELS, EXPERIMENTS)).decode())
