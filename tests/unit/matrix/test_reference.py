from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from guest.catalogue import Experiment, Fact
from matrix.reference import lacking, publish, record_of
from matrix.results.latest import read_finished
from matrix.results.manifest import KernelEntry, Manifest
from matrix.results.record import Record, Status
from tests.support.fakes import SURROUNDINGS
from vms.errors import UsageError

ASKED = Experiment(
    name="asked",
    topic="topic",
    question="What?",
    doc="What?",
    run=lambda lab: {},
    facts=(Fact("flows", int, "flows"),),
    invariants=(),
    variants={"scope": ("user", "root")},
    modules=(),
    seconds=1,
    cpus=1,
)
CATALOGUE = {"asked": ASKED}
USER = Record("6.1.1", "asked", {"scope": "user"}, Status.PASS, {"flows": 1})
ROOT = replace(USER, variant={"scope": "root"})


def test_a_reference_that_answers_everything_lacks_nothing() -> None:
    assert lacking([USER, ROOT], CATALOGUE) == []


def test_a_cell_that_never_ran_is_lacking() -> None:
    assert lacking([USER], CATALOGUE) == ["asked [scope=root] was not run"]


def test_a_fact_that_was_declared_after_the_run_is_lacking() -> None:
    wider = {"asked": replace(ASKED, facts=(*ASKED.facts, Fact("state", str, "state")))}
    assert lacking([USER, ROOT], wider) == [
        "asked [scope=user] has no state",
        "asked [scope=root] has no state",
    ]


def test_a_cell_that_no_kernel_supports_is_not_lacking() -> None:
    unsupported = replace(ROOT, status=Status.UNSUPPORTED, facts={}, reason="ENOENT")
    assert lacking([USER, unsupported], CATALOGUE) == []


KERNELS = (KernelEntry("6.1.1", "debian:6.1.1", "6.1", "6.1.1", "cloud", "6.1.1-1", "sid"),)
FIRST = Manifest(
    "first", "plan", "2026-01-01T00:00:00+00:00", ("matrix",), 2, ("asked", "other"), KERNELS, SURROUNDINGS
)


OTHER = KernelEntry("6.1.2", "debian:6.1.2", "6.1", "6.1.2", "cloud", "6.1.2-1", "sid")
CODE = {"asked": "one"}


def run(path: Path, name: str, records: Sequence[Record], kernels: Sequence[KernelEntry] = KERNELS) -> Path:
    """A finished run in a directory of its own."""
    started = f"2026-01-0{name[-1]}T00:00:00+00:00"
    made = replace(FIRST, run=name, kernels=tuple(kernels), started=started, finished=started, number=7)
    (path / name).mkdir()
    (path / name / "manifest.json").write_bytes(msgspec.json.encode(made))
    (path / name / "results.json").write_bytes(msgspec.json.encode(records))
    return path / name


def test_later_answers_replace_earlier_ones_and_other_builds_stay(tmp_path: Path) -> None:
    reference = tmp_path / "reference"
    first = run(tmp_path, "run-1", [USER, ROOT])
    second = run(tmp_path, "run-2", [replace(USER, kernel="6.1.2", facts={"flows": 2})], [OTHER])
    third = run(tmp_path, "run-3", [replace(USER, facts={"flows": 3})])
    publish([first], reference, CATALOGUE, {"asked": "one"})
    publish([second, third], reference, CATALOGUE, {"asked": "two"})
    found = record_of(reference)
    assert {key: [record.facts["flows"] for record in build.records] for key, build in found.items()} == {
        "debian:6.1.1": [1, 3],
        "debian:6.1.2": [2],
    }
    assert {key: build.manifest.run for key, build in found.items()} == {
        "debian:6.1.1": "run-3",
        "debian:6.1.2": "run-2",
    }
    assert {key: build.code for key, build in found.items()} == {
        "debian:6.1.1": {"asked": "two"},
        "debian:6.1.2": {"asked": "two"},
    }
    manifest, records = read_finished(reference)
    assert (manifest.run, manifest.number) == (
        "run-2 and run-3",
        0,
    )  # older than all runs of whoever reads it
    assert manifest.experiments == ("asked",)
    assert len(records) == 3


def test_a_record_that_is_published_again_stays_as_it_is(tmp_path: Path) -> None:
    reference = tmp_path / "reference"
    publish([run(tmp_path, "run-1", [USER, ROOT])], reference, CATALOGUE, CODE)
    before = {path: path.read_bytes() for path in reference.rglob("*.*")}
    publish([reference], reference, CATALOGUE, {"asked": "rewritten since"})
    assert {path: path.read_bytes() for path in reference.rglob("*.*")} == before


def test_builds_of_one_release_get_names_that_tell_them_apart(tmp_path: Path) -> None:
    reference = tmp_path / "reference"
    again = replace(KERNELS[0], id="debian:6.1.1-2", version="6.1.1-2")
    publish([run(tmp_path, "run-1", [USER, ROOT])], reference, CATALOGUE, CODE)
    publish([run(tmp_path, "run-2", [USER, ROOT], [again])], reference, CATALOGUE, CODE)
    manifest, records = read_finished(reference)
    assert [kernel.name for kernel in manifest.kernels] == ["6.1.1-1", "6.1.1-2"]
    assert {record.kernel for record in records} == {"6.1.1-1", "6.1.1-2"}


def test_what_the_catalogue_no_longer_asks_is_dropped(tmp_path: Path) -> None:
    records = [USER, ROOT, replace(USER, experiment="gone"), replace(USER, variant={"scope": "nobody"})]
    publish([run(tmp_path, "run-1", records)], tmp_path / "reference", CATALOGUE, CODE)
    assert read_finished(tmp_path / "reference")[1] == [ROOT, USER]


def test_a_run_with_an_error_is_not_published(tmp_path: Path) -> None:
    failed = replace(ROOT, status=Status.ERROR, facts={}, reason="lost")
    with pytest.raises(UsageError, match=r"cannot be the reference: asked on 6\.1\.1 is error"):
        publish([run(tmp_path, "run-1", [USER, failed])], tmp_path / "reference", CATALOGUE, CODE)
    assert not (tmp_path / "reference").exists()


def test_a_run_in_the_userland_of_its_host_is_not_published(tmp_path: Path) -> None:
    path = run(tmp_path, "run-1", [USER, ROOT])
    manifest = msgspec.json.decode((path / "manifest.json").read_bytes(), type=Manifest)
    own = replace(manifest, surroundings=replace(SURROUNDINGS, backend="virtme"))
    (path / "manifest.json").write_bytes(msgspec.json.encode(own))
    with pytest.raises(UsageError, match="userland was this host's, through virtme-ng"):
        publish([path], tmp_path / "reference", CATALOGUE, CODE)
    assert not (tmp_path / "reference").exists()
