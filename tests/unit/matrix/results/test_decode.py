"""Run directories that another version wrote. tests/fixtures/runs/first was recorded with the first
version that had run directories, before manifests had `left_out` and `version`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrix import VERSION
from matrix.results.directory import read_run
from matrix.results.latest import read_finished
from vms.errors import UsageError

FIRST = Path(__file__).parents[3] / "fixtures" / "runs" / "first"
RECORD = "cells/6.1.2/baseline/scope=root/record.json"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of the recorded run that a test may change."""
    return Path(shutil.copytree(FIRST, tmp_path / "old"))


def change(path: Path, edit: Callable[[Any], object]) -> None:
    content = json.loads(path.read_bytes())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("read", [read_run, read_finished])
def test_a_run_of_the_first_version_is_read(read: Callable[[Path], Any]) -> None:
    manifest, records = read(FIRST)
    assert (manifest.version, manifest.left_out) == ("", ())
    assert [kernel.uname for kernel in manifest.kernels] == ["5.10.1-cloud-amd64", "6.1.2-cloud-amd64"]
    assert len(records) == 4


@pytest.mark.parametrize("read", [read_run, read_finished])
def test_a_manifest_of_another_schema_names_version_file_and_remedy(
    old: Path, read: Callable[[Path], Any]
) -> None:
    (old / "manifest.json").write_text('{"schema": 2, "version": "3.1.0", "cells": 4}')
    expected = (
        f"{old}/manifest.json cannot be read: its schema is 2, and this version reads schema 1; the run was"
        f" written by conntrack-matrix 3.1.0, and this is {VERSION}: read it with the version that wrote it,"
        f" or remove {old}"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
        read(old)


@pytest.mark.fault(phase="results", fault="record damaged", outcome="refused with file, field and version")
def test_a_manifest_that_lacks_a_field_names_field_and_version(old: Path) -> None:
    change(old / "manifest.json", lambda manifest: manifest["surroundings"].pop("image"))
    with pytest.raises(UsageError, match=r"required field `image`.*a version .* that it does not name"):
        read_run(old)
    change(old / "manifest.json", lambda manifest: manifest.update(version="0.0.9"))
    with pytest.raises(UsageError, match=r"required field `image`.*written by conntrack-matrix 0\.0\.9"):
        read_run(old)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("started", "yesterday", "Invalid isoformat string"), ("id", "a\0b", "id cannot be 'a.+x00b'")],
)
def test_a_manifest_whose_values_no_report_could_use_is_refused(
    old: Path, field: str, value: str, said: str
) -> None:
    change(
        old / "manifest.json",
        lambda found: (found if field == "started" else found["kernels"][0]).update({field: value}),
    )
    with pytest.raises(UsageError, match=said):
        read_run(old)


@pytest.mark.fault(phase="results", fault="record damaged", outcome="refused as damaged")
def test_a_file_that_this_version_wrote_is_damaged(old: Path) -> None:
    change(old / "manifest.json", lambda manifest: manifest.update(version=VERSION))
    (old / RECORD).write_bytes(b'{"kernel": "\xff"')
    with pytest.raises(UsageError, match=rf"{RECORD} cannot be read: .*; restore it from a copy, or remove"):
        read_run(old)


@pytest.mark.parametrize("name", ["manifest.json", RECORD])
@pytest.mark.fault(phase="results", fault="record damaged", outcome="refused as damaged")
def test_a_file_that_is_nested_without_end_is_refused(old: Path, name: str) -> None:
    (old / name).write_bytes(b'{"more":' + b"[" * 1_000_000)
    with pytest.raises(UsageError, match=rf"{name} cannot be read: it is nested too deeply"):
        read_run(old)


@pytest.mark.parametrize("value", [1 << 64, -(1 << 64), {"syn": 10**400}])
def test_a_number_that_no_fact_has_is_refused(old: Path, value: int | dict[str, int]) -> None:
    change(old / RECORD, lambda record: record.update(facts={"flows": value}))
    with pytest.raises(UsageError, match=rf"{RECORD} cannot be read: the fact 'flows' has a number"):
        read_run(old)


def test_a_record_of_another_schema_is_refused(old: Path) -> None:
    change(old / RECORD, lambda record: record.update(schema=2))
    with pytest.raises(UsageError, match=rf"{RECORD} cannot be read: its schema is 2"):
        read_run(old)


def test_results_of_another_schema_are_replaced_by_the_cells_own_records(old: Path) -> None:
    change(old / "results.json", lambda records: records[3].update(schema=2))
    assert len(read_finished(old)[1]) == 4
    shutil.rmtree(old / "cells")
    with pytest.raises(UsageError, match=r"results\.json cannot be read: its schema is 2"):
        read_finished(old)
