"""Run directories of plans."""

from __future__ import annotations

from pathlib import Path

from matrix.plan.plan import Plan
from matrix.results.directory import RunDirectory, now, open_run
from matrix.results.manifest import Manifest, kernel_entries, plan_digest
from tests.support.fakes import SURROUNDINGS


def open_for(plan: Plan, results: Path) -> RunDirectory:
    manifest = Manifest(
        "r1",
        plan_digest(plan, SURROUNDINGS),
        now(),
        (),
        2,
        tuple(e.name for e in plan.experiments),
        kernel_entries(plan),
        SURROUNDINGS,
    )
    return open_run(results, manifest)
