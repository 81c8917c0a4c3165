"""Which answers of earlier runs a run uses, from run directories on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.plan.plan import Plan, make_plan
from matrix.results.directory import RunDirectory, open_run, read_run
from matrix.results.judge import Judged
from matrix.results.manifest import Manifest, Surroundings, kernel_entries, plan_digest
from matrix.results.record import Asked, Record, Status
from matrix.results.reuse import answer_key, reuse
from tests.support.fakes import SURROUNDINGS, make_experiment, make_kernel
from vms.boot import Boot

EXPERIMENTS = [make_experiment("baseline"), make_experiment("other")]
PLAN = make_plan([make_kernel("6.1.2")], EXPERIMENTS)
MORE = make_plan([make_kernel("6.1.2"), make_kernel("6.12.9")], EXPERIMENTS)


def opened(
    results: Path, run: str, plan: Plan = PLAN, surroundings: Surroundings = SURROUNDINGS, code: str = "code"
) -> RunDirectory:
    manifest = Manifest(
        run,
        plan_digest(plan, surroundings) + run,
        f"2026-01-0{run}T00:00:00+00:00",
        (),
        2,
        (),
        kernel_entries(plan),
        surroundings,
    )
    directory = open_run(results, manifest)
    directory.keys = {cell.key: answer_key(cell, code, surroundings) for cell in plan.cells}
    return directory


def asked(results: Path, run: str, flows: int = 10, status: Status = Status.PASS) -> Path:
    """A finished run of PLAN with this answer to every cell."""
    directory = opened(results, run)
    directory.update(
        replace(
            directory.manifest,
            kernels=tuple(
                replace(k, uname="6.1.2-cloud", sha256={"vmlinuz": "00"}, boot=Boot(512))
                for k in kernel_entries(PLAN)
            ),
        )
    )
    for cell in PLAN.cells:
        record = Record(cell.kernel.name, cell.experiment.name, {}, status, {"flows": flows})
        directory.keep(Judged(record, {"conntrack.txt": f"flows {flows}".encode()}), "booting\n")
    directory.close(finished=True)
    return directory.path


def test_a_run_with_more_kernels_uses_the_answers_and_evidence_of_an_earlier_one(tmp_path: Path) -> None:
    asked(tmp_path, "1")
    run = opened(tmp_path, "2", MORE)
    assert reuse(run, MORE.cells) == {"1": 2}
    assert {key[0] for key in run.records} == {"6.1.2"}
    assert run.manifest.reused == {"1": 2}
    assert [(k.uname, k.sha256, k.boot) for k in run.manifest.kernels] == [
        ("6.1.2-cloud", {"vmlinuz": "00"}, Boot(512)),
        ("", {}, Boot()),
    ]
    cell = run.path / "cells/6.1.2/baseline"
    assert (cell / "conntrack.txt").read_text() == "flows 10"
    assert (cell / "console.log").read_text() == "booting\n"
    assert json.loads((cell / "record.json").read_bytes())["reused"] == "1"
    run.close(finished=False)
    assert {record.reused for record in read_run(run.path)[1]} == {"1"}


def test_a_pristine_run_uses_only_answers_of_guests_that_were_asked_nothing_before(tmp_path: Path) -> None:
    earlier = opened(tmp_path, "1")
    for cell, asked_in in zip(PLAN.cells, (Asked("a"), Asked("a", 2, "baseline on 6.1.2")), strict=True):
        record = Record(cell.kernel.name, cell.experiment.name, {}, Status.PASS, {"flows": 1}, asked=asked_in)
        earlier.keep(Judged(record, {}), "")
    earlier.close(finished=True)
    for number, pristine, used in (("2", ("6.1.2",), {"baseline"}), ("3", (), {"baseline", "other"})):
        run = opened(tmp_path, number)
        run.update(replace(run.manifest, pristine=pristine))
        reuse(run, PLAN.cells)
        assert {key[1] for key in run.records} == used
        run.close(finished=False)


def test_the_run_that_asked_is_named_however_often_its_answers_were_used(tmp_path: Path) -> None:
    first = asked(tmp_path, "1")
    second = opened(tmp_path, "2")
    reuse(second, PLAN.cells)
    second.close(finished=True)
    shutil.rmtree(first)
    third = opened(tmp_path, "3")
    assert reuse(third, PLAN.cells) == {"1": 2}


def test_the_answer_of_the_run_with_the_largest_number_is_used_whatever_the_clock_said(
    tmp_path: Path,
) -> None:
    asked(tmp_path, "2", flows=9)
    asked(tmp_path, "1", flows=7)
    run = opened(tmp_path, "3")
    assert reuse(run, PLAN.cells) == {"1": 2}
    assert {record.facts["flows"] for record in run.records.values()} == {7}


@pytest.mark.parametrize("status", [Status.UNSTABLE, Status.CRASH, Status.TIMEOUT, Status.ERROR])
def test_a_cell_that_may_end_differently_next_time_is_asked_again(tmp_path: Path, status: Status) -> None:
    asked(tmp_path, "1", status=status)
    run = opened(tmp_path, "2")
    assert reuse(run, PLAN.cells) == {}
    assert run.records == {}


@pytest.mark.parametrize("status", [Status.PASS, Status.FAIL, Status.UNSUPPORTED])
def test_an_answer_of_a_kernel_is_used(tmp_path: Path, status: Status) -> None:
    asked(tmp_path, "1", status=status)
    assert reuse(opened(tmp_path, "2"), PLAN.cells) == {"1": 2}


def test_every_part_of_what_determines_an_answer_changes_its_key() -> None:
    (cell, other), around = PLAN.cells, SURROUNDINGS
    rebuilt = make_kernel("6.1.2")
    rebuilt = replace(rebuilt, packages=(replace(rebuilt.packages[0], sha256="9" * 64),))
    keys = {
        answer_key(cell, "code", around),
        answer_key(other, "code", around),
        answer_key(cell, "other code", around),
        answer_key(replace(cell, kernel=rebuilt), "code", around),
        answer_key(replace(cell, variant={"scope": "root"}), "code", around),
        answer_key(cell, "code", replace(around, image="other")),
        answer_key(cell, "code", replace(around, qemu="other")),
        answer_key(cell, "code", replace(around, accelerator="other")),
        answer_key(cell, "code", replace(around, cpu="other")),
    }
    assert len(keys) == 9
    named = replace(cell, kernel=replace(cell.kernel, name="mine", id="debian:mine"))
    assert answer_key(named, "code", replace(around, agent="other")) in keys


def test_cells_that_are_not_given_are_not_taken_over(tmp_path: Path) -> None:
    asked(tmp_path, "1")
    run = opened(tmp_path, "2")
    reuse(run, PLAN.cells[:1])
    assert list(run.records) == [PLAN.cells[0].key]


def test_an_answer_to_other_code_is_not_used(tmp_path: Path) -> None:
    asked(tmp_path, "1")
    assert reuse(opened(tmp_path, "2", code="rewritten"), PLAN.cells) == {}


def lose(cell: Path) -> None:
    (cell / "conntrack.txt").unlink()


def replace_by_a_link(cell: Path) -> None:
    lose(cell)
    (cell / "conntrack.txt").symlink_to("/etc/hostname")


def replace_its_cell_by_a_link(cell: Path) -> None:
    cell.rename(cell.with_name("elsewhere"))
    cell.symlink_to(cell.with_name("elsewhere"))


def replace_by_a_directory(cell: Path) -> None:
    lose(cell)
    (cell / "conntrack.txt").mkdir()


@pytest.mark.fault(phase="results", fault="record damaged", outcome="its cell is asked again")
@pytest.mark.parametrize(
    "damage", [lose, replace_by_a_link, replace_its_cell_by_a_link, replace_by_a_directory, shutil.rmtree]
)
def test_an_answer_without_its_evidence_is_not_used(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(asked(tmp_path, "1") / "cells/6.1.2/baseline")
    run = opened(tmp_path, "2")
    assert reuse(run, PLAN.cells) == {"1": 1}
    assert list(run.records) == [("6.1.2", "other", "")]
    assert not list(run.path.glob(".cell-*"))


@pytest.mark.fault(phase="results", fault="record damaged", outcome="the run's answers are not used")
@pytest.mark.parametrize("name", ["manifest.json", "results.json"])
def test_runs_that_cannot_be_read_are_skipped(tmp_path: Path, name: str) -> None:
    asked(tmp_path, "1")
    damaged = asked(tmp_path, "2", flows=7)
    (damaged / name).write_text('{"schema": 99}')
    shutil.rmtree(damaged / "cells")
    assert reuse(opened(tmp_path, "3"), PLAN.cells) == {"1": 2}


def test_an_interrupted_run_of_another_plan_is_used(tmp_path: Path) -> None:
    run = opened(tmp_path, "1", MORE)
    record = Record("6.1.2", "other", {}, Status.PASS, {"flows": 3})
    run.keep(Judged(record, {}), "")
    assert reuse(opened(tmp_path, "2"), PLAN.cells) == {"1": 1}
