from __future__ import annotations

import json
from pathlib import Path

import pytest

from matrix.plan.plan import make_plan
from matrix.run.durations import measured_seconds
from tests.support.fakes import make_experiment, make_kernel

EXPERIMENTS = [make_experiment("known", variants={"scope": ("root",)}), make_experiment("other")]
KNOWN, OTHER = make_plan([make_kernel("6.1.2")], EXPERIMENTS).cells


def results(directory: Path, run: str, day: int, *seconds: float, status: str = "pass") -> None:
    (directory / run).mkdir()
    records = [
        {"experiment": "known", "variant": {"scope": "root"}, "status": status, "seconds": s} for s in seconds
    ]
    (directory / run / "results.json").write_text(json.dumps(records))
    manifest = {"started": f"2026-01-{31 - day:02}", "number": day}  # the clock went backwards
    (directory / run / "manifest.json").write_text(json.dumps(manifest))


def test_a_cell_is_expected_to_take_the_median_of_the_newest_run(tmp_path: Path) -> None:
    results(tmp_path, "reference", 1, 9.0)
    results(tmp_path, "20260102-000000", 2, 1.0, 5.0, 2.0)
    results(tmp_path, "20260103-000000", 3, 7.0)
    (tmp_path / "latest").symlink_to("20260103-000000")
    assert measured_seconds(tmp_path, tmp_path / "20260103-000000")(KNOWN) == 2.0
    assert measured_seconds(tmp_path)(KNOWN) == 7.0


def test_a_cell_that_the_newest_run_lacks_is_looked_up_in_older_ones(tmp_path: Path) -> None:
    results(tmp_path, "20260101-000000", 1, 4.0)
    results(tmp_path, "20260102-000000", 2)
    assert measured_seconds(tmp_path)(KNOWN) == 4.0


def test_cells_without_an_answer_are_not_measured(tmp_path: Path) -> None:
    results(tmp_path, "20260102-000000", 2, 140.0, status="error")
    assert measured_seconds(tmp_path)(KNOWN) is None
    assert measured_seconds(tmp_path / "none")(OTHER) is None


@pytest.mark.fault(phase="results", fault="record damaged", outcome="its durations are not used")
@pytest.mark.parametrize(
    "damage", ['[{"experiment": 1}]', '{"schema": 9}', "[", "[1]", pytest.param("[" * 100_000, id="deep")]
)
def test_damaged_runs_are_skipped(tmp_path: Path, damage: str) -> None:
    results(tmp_path, "20260101-000000", 1, 9.0)
    results(tmp_path, "20260102-000000", 2, 1.0)
    results(tmp_path, "20260103-000000", 3, 1.0)
    (tmp_path / "20260102-000000/manifest.json").write_text(damage)
    (tmp_path / "20260103-000000/results.json").write_text(damage)
    assert measured_seconds(tmp_path)(KNOWN) == 9.0
