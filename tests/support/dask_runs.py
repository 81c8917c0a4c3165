"""A plan of many short cells, and a run of it on Dask workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matrix.dask.executor import Workers
from matrix.plan.plan import make_plan
from matrix.results.directory import RunDirectory
from matrix.run.progress import Display
from matrix.run.runner import execute
from tests.support.fakes import Seen, make_experiment, make_kernel
from tests.support.runs import open_for
from vms.image import Image

MakeImage = Callable[[], Image]

PLAN = make_plan(
    [make_kernel("5.10.1"), make_kernel("6.1.2")],
    [
        make_experiment("baseline", variants={"frontend": ("legacy", "nft")}),
        *(make_experiment(f"e{number}") for number in range(8)),
    ],
)


NAMES = [
    f"{cell.kernel.name} {cell.experiment.name} {','.join(cell.variant.values())}" for cell in PLAN.cells
]


def run(workers: Workers, results: Path, display: Display | None = None) -> RunDirectory:
    workers.prepare(PLAN.kernels)
    directory = open_for(PLAN, results)
    execute(PLAN, workers, directory, 1, display or Seen())
    directory.close(finished=True)
    return directory
