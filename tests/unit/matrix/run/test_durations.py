from __future__ import annotations

import json
from pathlib import Path

import pytest

from matrix.plan.plan import make_plan
from matrix.run.durations import expected_seconds
from tests.support.fakes import make_experiment, make_kernel

EXPERIMENTS = [make_experiment("known", variants={"scope": ("root",)}), make_experiment("new")]
KNOWN, UNKNOWN = make_plan([make_kernel("6.1.2")], EXPERIMENTS).cells


def results(directory: Path, run: str, *seconds: float) -> None:
    (directory / run).mkdir()
    records = [{"experiment": "known", "variant": {"scope": "root"}, "seconds": s} for s in seconds]
    (directory / run / "results.json").write_text(json.dumps(records))


def test_a_cell_is_expected_to_take_the_median_of_the_newest_other_run(tmp_path: Path) -> None:
    results(tmp_path, "20260101-000000", 9.0)
    results(tmp_path, "20260102-000000", 1.0, 5.0, 2.0)
    results(tmp_path, "20260103-000000", 7.0)
    (tmp_path / "latest").symlink_to("20260103-000000")
    assert expected_seconds(tmp_path / "20260103-000000")(KNOWN) == 2.0


def test_an_unmeasured_cell_is_expected_to_take_its_limit(tmp_path: Path) -> None:
    results(tmp_path, "20260102-000000", 1.0)
    assert expected_seconds(tmp_path / "20260103-000000")(UNKNOWN) == UNKNOWN.experiment.seconds


@pytest.mark.fault(phase="results", fault="record damaged", outcome="its durations are not used")
def test_damaged_runs_are_skipped(tmp_path: Path) -> None:
    results(tmp_path, "20260101-000000", 9.0)
    (tmp_path / "20260102-000000").mkdir()
    (tmp_path / "20260102-000000/results.json").write_text('[{"experiment": 1}]')
    (tmp_path / "20260102-000001").mkdir()
    (tmp_path / "20260102-000001/results.json").write_text('{"schema": 9}')
    assert expected_seconds(tmp_path / "20260103-000000")(KNOWN) == 9.0
