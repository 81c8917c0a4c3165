from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guest.catalogue import Invariant
from matrix.analysis.beside import Beside
from matrix.invocation import Result, RunRequest, run_matrix
from matrix.plan.plan import Plan, make_plan
from matrix.results.record import Record
from tests.support.fakes import SURROUNDINGS, FakeGuests, Seen, answer, make_experiment, make_kernel
from tests.support.sample import EMPTY
from vms.answer import Answer
from vms.errors import LostGuest

FEW = Invariant("at most ten flows", lambda facts, _variant: facts["flows"] <= 10)
CATALOGUE = {"baseline": make_experiment("baseline", invariants=(FEW,))}
PLAN = make_plan([make_kernel("5.10.1"), make_kernel("6.1.2")], list(CATALOGUE.values()))


def run(guests: FakeGuests, results: Path, plan: Plan = PLAN, display: Seen | None = None) -> Result:
    return run_matrix(RunRequest(plan, CATALOGUE, EMPTY, guests, results, 2, ("matrix",), display or Seen()))


def test_a_run_ends_with_its_reports_and_notes_the_accelerator(tmp_path: Path) -> None:
    seen = Seen()
    result = run(FakeGuests(), tmp_path, display=seen)
    assert result.analysis.exit_code == 0
    assert {path.name for path in (result.run / "report").iterdir()} == {
        "index.html",
        "report.md",
        "junit.xml",
    }
    assert result.page == result.run / "report/index.html"
    assert seen.notes[1:] == ["accelerator: tcg (there is no /dev/kvm)"]
    assert sum(result.analysis.table.counts.values()) == 2


def test_what_qemu_said_of_kvm_is_told_by_the_doctor_not_by_each_run(
    tmp_path: Path,
) -> None:
    seen = Seen()
    long = f"KVM did not boot a kernel on this host: tried vmlinuz: {'qemu-system-x86_64: ' * 10}"
    run(FakeGuests(surroundings=replace(SURROUNDINGS, why=long)), tmp_path, display=seen)
    told = "accelerator: tcg (KVM did not boot a kernel on this host; `./invoke doctor` says why)"
    assert seen.notes[1:] == [told]


def test_a_broken_invariant_makes_the_exit_code_1(tmp_path: Path) -> None:
    def behave(kernel: str, request: dict[str, Any]) -> Answer:
        return answer(request, facts={"flows": 11 if kernel == "6.1.2" else 10})

    assert run(FakeGuests(behave), tmp_path).analysis.exit_code == 1


def test_lost_guests_make_the_exit_code_3(tmp_path: Path) -> None:
    def behave(_kernel: str, _request: dict[str, Any]) -> Answer:
        raise LostGuest("gone")

    assert run(FakeGuests(behave), tmp_path).analysis.exit_code == 3


def test_an_unexplained_change_makes_the_exit_code_1(tmp_path: Path) -> None:
    def behave(kernel: str, request: dict[str, Any]) -> Answer:
        return answer(request, facts={"flows": 9 if kernel == "6.1.2" else 10})

    result = run(FakeGuests(behave), tmp_path)
    ((row, change),) = result.analysis.unexplained
    assert (row.experiment, change.before, change.after, change.verdict) == ("baseline", 0, 1, "unexplained")
    assert [fact.difference.fact for fact in change.facts] == ["flows"]
    assert result.analysis.exit_code == 1


def test_an_interrupted_run_is_resumed_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.run.executor.interrupt", lambda: None)

    class Interrupting(Seen):
        def finished(self, record: Record) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(FakeGuests(), tmp_path, display=Interrupting())
    assert len(json.loads((tmp_path / "latest/results.json").read_bytes())) == 1
    assert "not finished: 1 cell so far" in (tmp_path / "latest/report/index.html").read_text()
    seen = Seen()
    result = run(FakeGuests(), tmp_path, display=seen)
    assert any("resuming run" in note and "1 of 2 cells done" in note for note in seen.notes)
    assert len([path for path in tmp_path.iterdir() if path.is_dir() and not path.is_symlink()]) == 1
    assert sum(result.analysis.table.counts.values()) == 2
    assert "not finished" not in result.page.read_text()


def test_builds_that_were_left_out_are_in_the_manifest_and_change_nothing_else(tmp_path: Path) -> None:
    result = run_matrix(
        RunRequest(PLAN, CATALOGUE, EMPTY, FakeGuests(), tmp_path, 2, ("matrix",), Seen(), ("5.15.7-1",))
    )
    assert result.analysis.exit_code == 0
    assert json.loads((result.run / "manifest.json").read_bytes())["left_out"] == ["5.15.7-1"]


def asking(asked: list[str]) -> FakeGuests:
    def behave(kernel: str, request: dict[str, Any]) -> Answer:
        asked.append(kernel)
        return answer(request)

    return FakeGuests(behave)


def test_a_run_of_more_kernels_asks_only_what_no_run_has_answered(tmp_path: Path) -> None:
    asked: list[str] = []
    code = {"baseline": "the same code"}
    first = RunRequest(PLAN, CATALOGUE, EMPTY, asking(asked), tmp_path, 2, ("matrix",), Seen(), code=code)
    run_matrix(first)
    more = make_plan([*PLAN.kernels, make_kernel("6.12.9")], PLAN.experiments)
    seen = Seen()
    result = run_matrix(replace(first, plan=more, display=seen))
    assert sorted(asked) == ["5.10.1", "6.1.2", "6.12.9"]
    assert sum(result.analysis.table.counts.values()) == 3
    assert any("2 of 3 cells were answered by earlier runs" in note for note in seen.notes)
    run_matrix(replace(first, again={cell.key for cell in PLAN.cells}))
    assert sorted(asked) == ["5.10.1", "5.10.1", "6.1.2", "6.1.2", "6.12.9"]
    run_matrix(replace(first, code={"baseline": "rewritten"}))
    assert len(asked) == 7


@pytest.mark.parametrize(
    ("pristine", "read"), [((), True), (("5.10.1",), True), (("5.10.1", "6.1.2"), False)]
)
def test_earlier_answers_are_read_only_to_judge_guests_that_answer_many_cells(
    tmp_path: Path, pristine: tuple[str, ...], read: bool
) -> None:
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "manifest.json").write_text("{")
    seen = Seen()
    request = RunRequest(PLAN, CATALOGUE, EMPTY, FakeGuests(), tmp_path, 2, ("matrix",), seen)
    run_matrix(replace(request, pristine=frozenset(pristine)))
    assert any(note.startswith("left out:") for note in seen.notes) is read


def test_who_knows_better_what_to_expect_is_asked_instead_of_earlier_runs(tmp_path: Path) -> None:
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "manifest.json").write_text("{")
    seen = Seen()
    beside = Beside(PLAN.kernels[0], (), {})
    run_matrix(RunRequest(PLAN, CATALOGUE, EMPTY, FakeGuests(), tmp_path, 2, (), seen, known=beside))
    assert not any(note.startswith("left out:") for note in seen.notes)
