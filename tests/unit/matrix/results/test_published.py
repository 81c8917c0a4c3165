"""The record: answers of many builds, equal ones stored once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.results.latest import read_finished, read_record, read_runs
from matrix.results.manifest import Manifest
from matrix.results.published import Published, is_published, write_published
from matrix.results.record import Record, Status
from tests.support.nights import cell, manifest
from vms.errors import UsageError
from vms.files import write_whole
from vms.splats import Kind, Splat

WHOLE = manifest(2, "6.1.5", "6.1.6", "6.1.7")
SEVEN = replace(cell("6.1.5", flows=7, names=["a"]), seconds=1.25)
SPLAT = Splat(Kind.WARNING, "WARNING: x", "WARNING x")


def build(name: str, *records: Record, day: int = 1) -> Published:
    return Published(manifest(day, name), tuple(replace(one, kernel=name) for one in records), {"a": "b"})


BUILDS = (
    build("6.1.5", SEVEN),
    build("6.1.6", replace(SEVEN, seconds=2.5), day=2),
    build("6.1.7", replace(SEVEN, splats=(SPLAT,), status=Status.FAIL, reason="why")),
)


def kept(path: Path, whole: Manifest = WHOLE) -> Path:
    write_published(path, whole, BUILDS[: len(whole.kernels)])
    return path


def test_what_is_written_is_read_and_equal_answers_are_stored_once(tmp_path: Path) -> None:
    assert not is_published(tmp_path)
    kept(tmp_path)
    assert is_published(tmp_path)
    assert read_record(tmp_path) == BUILDS
    assert read_finished(tmp_path) == (WHOLE, [record for one in BUILDS for record in one.records])
    assert [found.started for found, _ in read_runs(tmp_path)] == [one.manifest.started for one in BUILDS]
    answers = json.loads((tmp_path / "answers.json").read_bytes())
    assert [answer["status"] for answer in sorted(answers, key=lambda one: one["status"])] == ["fail", "pass"]


def test_a_name_of_the_manifest_is_that_of_the_build_and_of_its_records(tmp_path: Path) -> None:
    kernels = tuple(replace(kernel, name=f"{kernel.name}-1") for kernel in WHOLE.kernels)
    found = read_record(kept(tmp_path, replace(WHOLE, kernels=kernels)))
    assert [one.kernel.name for one in found] == ["6.1.5-1", "6.1.6-1", "6.1.7-1"]
    assert [record.kernel for one in found for record in one.records] == ["6.1.5-1", "6.1.6-1", "6.1.7-1"]


def test_an_answer_that_no_build_gives_any_more_is_dropped(tmp_path: Path) -> None:
    kept(tmp_path)
    write_published(tmp_path, manifest(3, "6.1.5"), [build("6.1.5", cell("6.1.5", flows=8))])
    assert [one["facts"] for one in json.loads((tmp_path / "answers.json").read_bytes())] == [{"flows": 8}]


def test_a_record_of_no_build_has_no_answers(tmp_path: Path) -> None:
    write_published(tmp_path, manifest(1), [])
    assert read_runs(tmp_path) == [(manifest(1), [])]


@pytest.mark.parametrize("written", range(4))
def test_whenever_the_writing_ends_a_reader_finds_a_whole_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    kept(tmp_path, manifest(2, "6.1.5"))
    files = 0

    def ends(path: Path, content: bytes) -> None:
        nonlocal files
        files += 1
        if files > written:
            raise KeyboardInterrupt
        write_whole(path, content)

    monkeypatch.setattr("matrix.results.published.write_whole", ends)
    changed = (build("6.1.5", cell("6.1.5", flows=8)), *BUILDS[1:])
    with pytest.raises(KeyboardInterrupt):
        write_published(tmp_path, WHOLE, changed)
    (first,) = read_record(tmp_path)
    assert first.records in (BUILDS[0].records, changed[0].records)


@pytest.mark.fault(phase="results", fault="record damaged", outcome="refused with file, field and version")
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("answers.json", "[]", "which .*answers.json does not have; restore both from a copy"),
        ("answers.json", "{", "answers.json cannot be read"),
        ("builds/6.1.5-1.cloud.json", "{}", "missing required field `manifest`"),
        ("builds/6.1.5-1.cloud.json", None, "No such file.*restore it from a copy"),
    ],
)
def test_a_damaged_record_is_refused_with_its_file(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    kept(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        read_finished(tmp_path)
