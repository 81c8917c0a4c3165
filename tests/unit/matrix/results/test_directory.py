from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import tomllib
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from matrix import VERSION
from matrix.plan.plan import make_plan
from matrix.results import directory
from matrix.results.directory import RunDirectory, open_run, read_run
from matrix.results.judge import Judged
from matrix.results.manifest import Manifest, kernel_entries, plan_digest
from matrix.results.record import Record, Status
from tests.support.fakes import SURROUNDINGS, make_experiment, make_kernel
from tests.support.project import ROOT
from vms.errors import HostError, UsageError

PLAN = make_plan([make_kernel("6.1.2")], [make_experiment("baseline"), make_experiment("other")])
RECORD = Record("6.1.2", "baseline", {"scope": "root"}, Status.PASS, {"flows": 10})


def manifest(run: str = "20260101-000000") -> Manifest:
    return Manifest(
        run,
        plan_digest(PLAN, SURROUNDINGS),
        "2026-01-01T00:00:00+00:00",
        (),
        2,
        (),
        kernel_entries(PLAN),
        SURROUNDINGS,
    )


def keep(run: RunDirectory, record: Record = RECORD) -> Record:
    return run.keep(Judged(record, {"conntrack.txt": b"tcp"}), "console\n")


def test_a_cell_is_a_directory_with_its_record_and_evidence(tmp_path: Path) -> None:
    run = open_run(tmp_path, manifest())
    record = keep(run)
    cell = tmp_path / "20260101-000000/cells/6.1.2/baseline/scope=root"
    assert {file.name for file in cell.iterdir()} == {"record.json", "conntrack.txt", "console.log"}
    assert record.evidence == ("conntrack.txt", "console.log")
    assert json.loads((cell / "record.json").read_bytes())["facts"] == {"flows": 10}


@pytest.mark.fault(phase="results", fault="disk full", outcome="no half cell is left")
def test_a_cell_that_cannot_be_written_completely_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(tmp_path, manifest())

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(HostError, match="no space left on the disk"):
        keep(run)
    assert not list((run.path / "cells").rglob("scope=root"))
    assert not list(run.path.glob(".cell-*"))


@pytest.mark.fault(phase="results", fault="too many open files", outcome="that cell is an error, run again")
def test_a_cell_that_cannot_be_written_is_an_error_and_only_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(tmp_path, manifest())

    def refused(self: Path, data: bytes) -> int:
        raise OSError(errno.EMFILE, "Too many open files", str(self))

    with monkeypatch.context() as few:
        few.setattr(Path, "write_bytes", refused)
        record = keep(run)
    assert record.status is Status.ERROR
    assert record.facts == {}
    assert record.reason.startswith("the answer could not be stored: Too many open files: ")
    long = keep(run, Record("6.1.2", "other", {"scope": "x" * 199, "family": "y" * 199}, Status.PASS))
    assert long.reason.startswith("the answer could not be stored: File name too long: ")
    assert keep(run, Record("6.1.2", "other", {}, Status.PASS)).status is Status.PASS
    run.close(finished=False)
    assert list(open_run(tmp_path, manifest("20260102-000000")).records) == [("6.1.2", "other", "")]


@pytest.mark.fault(phase="results", fault="guest floods", outcome="its kernel's evidence has a limit")
def test_a_kernel_whose_evidence_fills_its_room_keeps_its_facts_and_the_others_their_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.results.directory.MOST_EVIDENCE", 1_000)
    run = open_run(tmp_path, manifest())

    def flood(number: int, kernel: str = "6.1.2") -> Record:
        record = Record(kernel, f"e{number}", {}, Status.PASS, {"flows": 10})
        return run.keep(Judged(record, {"packets.txt": b"x" * 600}), "")

    assert flood(1).evidence == ("packets.txt",)
    assert flood(2).evidence == ("left-out.txt",)
    assert flood(2).facts == {"flows": 10}
    assert flood(3, "7.3.1").evidence == ("packets.txt",)
    run.close(finished=False)
    run = open_run(tmp_path, manifest("20260102-000000"))
    assert flood(4).evidence == ("left-out.txt",)
    assert sum(path.stat().st_size for path in run.path.rglob("packets.txt")) == 1_200


@pytest.mark.fault(phase="results", fault="record damaged", outcome="an unfinished run runs that cell again")
def test_a_damaged_record_of_an_unfinished_run_is_run_again(tmp_path: Path) -> None:
    run = open_run(tmp_path, manifest())
    keep(run)
    keep(run, Record("6.1.2", "other", {}, Status.PASS))
    (run.path / "cells/6.1.2/baseline/scope=root/record.json").write_bytes(b"")  # as after a power cut
    run.close(finished=False)
    notes: list[str] = []
    again = open_run(tmp_path, manifest("20260102-000000"), notes.append)
    assert list(again.records) == [("6.1.2", "other", "")]
    assert len(notes) == 1
    assert "a cell is run again" in notes[0]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
@pytest.mark.fault(phase="results", fault="disk read-only", outcome="one message that names the directory")
def test_a_results_directory_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(
        HostError, match=rf"opening a run under {tmp_path}: {tmp_path}: {os.strerror(number)}"
    ):
        open_run(tmp_path, manifest())


def test_latest_points_to_the_newest_run(tmp_path: Path) -> None:
    for name in ("20260101-000000", "20260102-000000"):
        open_run(tmp_path, manifest(name)).close(finished=True)
    assert (tmp_path / "latest").readlink() == Path("20260102-000000")


@pytest.mark.fault(phase="results", fault="two at once", outcome="each run has a directory of its own")
def test_two_runs_of_one_second_get_two_directories(tmp_path: Path) -> None:
    first, second = open_run(tmp_path, manifest()), open_run(tmp_path, manifest())
    assert first.path != second.path
    assert second.manifest.run == "20260101-000000-2"


def sync_of_ones_own(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.mkdir()
    (directory / "sync").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "sync").chmod(0o755)
    monkeypatch.setattr("vms.tool.SEARCH_PATH", f"{directory}:{os.environ['PATH']}")


@pytest.mark.fault(
    phase="results", fault="power cut", outcome="a run that counts as finished has all its cells on the disk"
)
def test_cells_are_on_the_disk_before_a_run_counts_as_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_of_ones_own(tmp_path / "programs", f'cp "$2/manifest.json" {tmp_path}/then', monkeypatch)
    run = open_run(tmp_path / "results", manifest())
    keep(run)
    run.close(finished=True)
    assert json.loads((tmp_path / "then").read_bytes())["finished"] == ""
    assert read_run(run.path)[0].finished


@pytest.mark.fault(phase="results", fault="disk fails", outcome="an error; the next run continues this one")
def test_a_run_that_cannot_be_written_to_the_disk_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_of_ones_own(tmp_path / "programs", "echo Input/output error; exit 1", monkeypatch)
    run = open_run(tmp_path / "results", manifest())
    with pytest.raises(HostError, match="Input/output error"):
        run.close(finished=True)
    assert open_run(tmp_path / "results", manifest("20260102-000000")).path == run.path


def test_runs_are_numbered_one_after_the_other_from_what_is_known_elsewhere(tmp_path: Path) -> None:
    names = ("20260103-000000", "20260101-000000", "20260102-000000")
    numbers = []
    for name in names:
        run = open_run(tmp_path, manifest(name))
        numbers.append(run.manifest.number)
        run.close(finished=True)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "manifest.json").write_text('{"number": -5}')
    assert numbers == [1, 2, 3]
    assert open_run(tmp_path, replace(manifest("20260104-000000"), number=9)).manifest.number == 10


def _open_run(results: Path, barrier: Barrier) -> None:
    barrier.wait(60)
    open_run(results, manifest()).close(finished=True)


@pytest.mark.fault(phase="results", fault="two at once", outcome="each run has a number of its own")
def test_runs_that_start_at_once_get_different_numbers(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    starters = [context.Process(target=_open_run, args=(tmp_path, barrier)) for _ in range(4)]
    for process in starters:
        process.start()
    for process in starters:
        process.join(120)
    assert [process.exitcode for process in starters] == [0] * 4
    numbers = [read_run(path.parent)[0].number for path in tmp_path.glob("2026*/manifest.json")]
    assert sorted(numbers) == [1, 2, 3, 4]


def test_a_process_that_holds_the_directory_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "_SECONDS", 0.1)
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(HostError, match="another process that opens a run"):
        open_run(tmp_path, manifest())
    os.close(holder)


def test_an_unfinished_run_of_the_same_plan_is_continued_and_its_errors_run_again(tmp_path: Path) -> None:
    run = open_run(tmp_path, manifest())
    keep(run)
    keep(run, Record("6.1.2", "other", {}, Status.ERROR))
    left = [run.path / ".cell-8letters", run.path / ".manifest.json-8letters"]
    left += [run.report / ".report.md-8letters", tmp_path / ".latest-8letters"]
    left[0].mkdir()
    run.report.mkdir()
    for path in left[1:3]:
        path.touch()
    left[3].symlink_to("nowhere")
    run.close(finished=False)
    again = open_run(tmp_path, manifest("20260102-000000"))
    assert again.path == run.path
    assert list(again.records) == [("6.1.2", "baseline", "scope=root")]
    assert not [path for path in left if os.path.lexists(path)]


@pytest.mark.fault(phase="results", fault="two at once", outcome="a new run is started")
def test_a_run_that_another_process_writes_is_not_continued(tmp_path: Path) -> None:
    run = open_run(tmp_path, manifest())
    assert open_run(tmp_path, manifest("20260102-000000")).path != run.path


def test_a_finished_run_or_one_of_another_plan_is_not_continued(tmp_path: Path) -> None:
    open_run(tmp_path, manifest()).close(finished=True)
    other = open_run(tmp_path, replace(manifest("20260102-000000"), plan="another"))
    other.close(finished=False)
    assert open_run(tmp_path, manifest("20260103-000000")).path.name == "20260103-000000"


@pytest.mark.fault(phase="results", fault="two at once", outcome="a new run is started")
def test_a_run_that_another_process_finishes_just_before_it_is_locked_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_run(tmp_path, manifest())
    flock = fcntl.flock

    def finish_first(handle: int, how: int) -> None:
        if os.path.samestat(os.fstat(handle), other.path.stat()) and not other.manifest.finished:
            other.close(finished=True)
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", finish_first)
    assert open_run(tmp_path, manifest("20260102-000000")).path != other.path


def test_the_plan_digest_changes_with_what_could_change_facts() -> None:
    digest = plan_digest(PLAN, SURROUNDINGS)
    others = [
        plan_digest(PLAN, replace(SURROUNDINGS, agent="other")),
        plan_digest(PLAN, replace(SURROUNDINGS, accelerator="kvm")),
        plan_digest(make_plan([make_kernel("6.1.3")], PLAN.experiments), SURROUNDINGS),
        plan_digest(make_plan(PLAN.kernels, PLAN.experiments[:1]), SURROUNDINGS),
    ]
    assert len({digest, *others}) == 5
    assert plan_digest(PLAN, replace(SURROUNDINGS, cpu="another")) == digest


def test_a_run_records_the_version_that_started_it(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert open_run(tmp_path, manifest()).manifest.version == VERSION == project["version"]


@pytest.mark.parametrize(("finished", "noted"), [("", 1), ("2026-01-01T00:01:00+00:00", 0)])
def test_an_unfinished_run_of_another_version_is_reported_once(
    tmp_path: Path, finished: str, noted: int
) -> None:
    old = open_run(tmp_path, manifest())
    other_schema = {"schema": 9, "version": "7.0", "finished": finished}
    (old.path / "manifest.json").write_text(json.dumps(other_schema))
    notes: list[str] = []
    assert open_run(tmp_path, manifest("20260102-000000"), notes.append).path != old.path
    assert len(notes) == noted
    assert all("was written by conntrack-matrix 7.0" in note for note in notes)
    open_run(tmp_path, replace(manifest("20260103-000000"), plan="another"), notes.append)
    assert len(notes) == noted


@pytest.mark.parametrize("place", ["report", "cells/6.1.1"])
def test_a_run_with_links_in_it_is_not_continued(tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ".letter-abcdefgh").write_text("mine")  # named as what a killed process leaves
    results = tmp_path / "results"
    old = open_run(results, manifest())
    os.close(old._lock)
    (old.path / place).parent.mkdir(exist_ok=True)
    (old.path / place).symlink_to(outside)
    notes: list[str] = []
    assert open_run(results, manifest("20260102-000000"), notes.append).path != old.path
    assert [path.name for path in outside.iterdir()] == [".letter-abcdefgh"]
    assert notes == [f"{old.path} is not continued: there are links in it, which no run has"]


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run directory: it has no manifest\.json"):
        read_run(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        read_run(tmp_path)


def test_a_run_reads_back_as_it_was_written(tmp_path: Path) -> None:
    run = open_run(tmp_path, manifest())
    record = keep(run)
    run.close(finished=True)
    assert read_run(run.path) == (run.manifest, [record])
