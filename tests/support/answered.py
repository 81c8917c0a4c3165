"""Runs with answers that a test chooses, as files in a directory of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matrix.plan.plan import make_plan
from matrix.results.directory import open_run
from matrix.results.judge import Judged
from matrix.results.manifest import Manifest, kernel_entries, plan_digest
from matrix.results.record import Record
from tests.support.fakes import SURROUNDINGS, make_experiment, make_kernel


def write_run(results: Path, run: str, kernels: Sequence[str], records: Sequence[Record]) -> None:
    """A finished run of this name, a date, with these answers of the kernels to `baseline`."""
    plan = make_plan([make_kernel(name) for name in kernels], [make_experiment("baseline")])
    manifest = Manifest(
        run,
        plan_digest(plan, SURROUNDINGS),
        f"{run}T00:00:00+00:00",
        (),
        2,
        (),
        kernel_entries(plan),
        SURROUNDINGS,
    )
    directory = open_run(results, manifest)
    for one in records:
        directory.keep(Judged(one, {}), "")
    directory.close(finished=True)
