from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from matrix.report.website.contents import Contents, read_contents
from matrix.results.decode import read_manifest
from matrix.results.record import Record, Status
from tests.support.upgrades import CATALOGUE, LEDGER, LEFT, RIGHT, cell, save
from vms.errors import UsageError


def contents(results: Path) -> Contents:
    return read_contents(sorted(results.iterdir()), CATALOGUE, LEDGER)


def test_builds_that_answered_are_columns_in_kernel_order(tmp_path: Path) -> None:
    save(tmp_path, 1, cell(RIGHT, "lookup", steps=3), cell(LEFT, "lookup", steps=9))
    found = contents(tmp_path)
    assert [build.slug for build in found.builds] == [LEFT, RIGHT]
    assert found.analysis.table.kernels == tuple(build.entry for build in found.builds)


def test_the_newest_answer_counts_and_its_day_is_that_of_the_build(tmp_path: Path) -> None:
    save(tmp_path, 1, cell(LEFT, "lookup", steps=9), cell(RIGHT, "lookup", steps=3))
    save(tmp_path, 2, cell(LEFT, "lookup", steps=8))
    found = contents(tmp_path)
    (row,) = found.analysis.table.rows
    assert [record.facts["steps"] for record in row.records if record] == [8, 3]
    assert [build.asked[:10] for build in found.builds] == ["2026-11-02", "2026-11-01"]


def test_two_builds_that_runs_call_alike_have_names_of_their_own(tmp_path: Path) -> None:
    save(tmp_path, 1, cell(LEFT, "lookup", steps=9))
    save(tmp_path, 2, cell(LEFT, "lookup", steps=8))
    path = tmp_path / "run-2" / "manifest.json"
    manifest = read_manifest(tmp_path / "run-2")
    kernels = tuple(replace(entry, id=f"{entry.id}-rebuilt") for entry in manifest.kernels)
    path.write_bytes(msgspec.json.encode(replace(manifest, kernels=kernels)))
    found = contents(tmp_path)
    assert len({build.entry.name for build in found.builds}) == 2
    assert len({build.slug for build in found.builds}) == 2
    (row,) = found.analysis.table.rows
    assert {record.facts["steps"] for record in row.records if record} == {8, 9}


def test_variants_that_an_experiment_no_longer_has_are_left_out(tmp_path: Path) -> None:
    gone = Record(LEFT, "lookup", {"scope": "nobody"}, Status.PASS, {"steps": 1})
    save(tmp_path, 1, cell(LEFT, "lookup", steps=9), gone)
    assert [record.variant for record in contents(tmp_path).analysis.records] == [{"scope": "root"}]


def test_runs_without_an_answer_make_no_site(tmp_path: Path) -> None:
    save(tmp_path, 1, cell(LEFT, "lookup", Status.ERROR))
    with pytest.raises(UsageError, match="has answered anything; give another --run"):
        contents(tmp_path)
