"""The newest answer of every cell, from several runs."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import msgspec
import pytest

from matrix.plan.plan import Cell
from matrix.results.latest import Answer, LatestAnswers, read_finished, read_latest
from matrix.results.manifest import KernelEntry, Manifest
from matrix.results.record import Status
from tests.support.fakes import SURROUNDINGS, make_experiment, make_kernel
from tests.support.nights import KEY, cell, manifest
from vms.errors import UsageError


def test_the_newest_run_wins_in_any_order_of_reading() -> None:
    runs = [
        (manifest(2, "6.1.5"), [cell("6.1.5", flows=8)]),
        (manifest(1, "6.1.5"), [cell("6.1.5", flows=7)]),
    ]
    for order in (runs, runs[::-1]):
        known = LatestAnswers()
        for run in order:
            known = known.with_run(*run)
        assert known.answers[KEY].record.facts == {"flows": 8}
        assert known.answers[KEY].seen.startswith("2026-11-02")


def test_numbers_order_runs_whatever_their_clocks_said_and_unnumbered_runs_are_older() -> None:
    late = replace(manifest(28, "6.1.5"), number=3)
    runs = [
        (manifest(30, "6.1.5"), [cell("6.1.5", flows=1)]),  # of an older version
        (replace(manifest(29, "6.1.5"), number=2), [cell("6.1.5", flows=2)]),
        (late, [cell("6.1.5", flows=3)]),
    ]
    for order in permutations(runs):
        known = LatestAnswers()
        for run in order:
            known = known.with_run(*run)
        assert known.answers[KEY] == Answer(runs[2][1][0], late.started, 3)


def test_an_error_is_no_answer() -> None:
    known = LatestAnswers().with_run(manifest(1, "6.1.5"), [cell("6.1.5", flows=7)])
    assert known.with_run(manifest(2, "6.1.5"), [cell("6.1.5", Status.ERROR)]).answers == known.answers


def test_a_kernel_that_the_manifest_does_not_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(manifest(1, "6.1.5")))
    (tmp_path / "results.json").write_bytes(msgspec.json.encode([cell("6.1.6", flows=7)]))
    with pytest.raises(UsageError, match="a kernel that its manifest does not name"):
        read_finished(tmp_path)


def test_a_rewritten_experiment_has_no_answer_yet() -> None:
    kernel = make_kernel("6.1.5")
    entry = KernelEntry(
        kernel.name, kernel.id, kernel.series, kernel.release, kernel.flavour, kernel.version, kernel.suite
    )
    run = Manifest("run", "plan", "2026-11-01T02:00:00+00:00", (), 1, (), (entry,), SURROUNDINGS)
    known = LatestAnswers().with_run(run, [cell("6.1.5", flows=7)])
    assert known.answer_to(Cell(kernel, make_experiment("table-full"), {})) is not None
    assert (
        known.answer_to(Cell(kernel, make_experiment("table-full", {"flows": int, "drops": int}), {})) is None
    )
    assert known.answer_to(Cell(kernel, make_experiment("baseline"), {})) is None
    marked = cell("6.1.5", flows=7, splats=["WARNING: x"])
    known = known.with_run(replace(run, started="2026-11-02T02:00:00+00:00"), [marked])
    answer = known.answer_to(Cell(kernel, make_experiment("table-full"), {}))
    assert answer is not None
    assert answer.record == marked


@pytest.mark.fault(phase="night", fault="record damaged", outcome="that run is left out and named")
def test_only_finished_nightly_runs_count_and_unreadable_ones_are_reported(tmp_path: Path) -> None:
    for day, done in ((1, True), (2, True), (3, False)):
        run = manifest(day, "6.1.5")
        (tmp_path / run.run).mkdir()
        (tmp_path / run.run / "manifest.json").write_bytes(msgspec.json.encode(run))
        (tmp_path / run.run / "results.json").write_bytes(msgspec.json.encode([cell("6.1.5", flows=day)]))
        if done:
            (tmp_path / run.run / "nightly.json").write_text("{}")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "nightly.json").write_text("{}")
    (tmp_path / "latest").symlink_to("night-03")
    complaints: list[str] = []
    known = read_latest(tmp_path, LatestAnswers(), complaints.append)
    assert known.answers[KEY].record.facts == {"flows": 2}
    assert len(complaints) == 1
    assert "broken" in complaints[0]


def test_a_finished_run_is_read_from_results_json(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(manifest(1, "6.1.5")))
    (tmp_path / "results.json").write_bytes(msgspec.json.encode([cell("6.1.5", flows=7)]))
    assert read_finished(tmp_path) == (manifest(1, "6.1.5"), [cell("6.1.5", flows=7)])
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(replace(manifest(1, "6.1.5"), finished="")))
    # of a run under way the cells count, not what an earlier attempt left
    assert read_finished(tmp_path)[1] == []
    (tmp_path / "manifest.json").write_bytes(b"{")
    with pytest.raises(UsageError, match="cannot be read"):
        read_finished(tmp_path)
