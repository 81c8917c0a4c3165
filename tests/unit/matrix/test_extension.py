"""The record is extended build by build, and goes on where it was ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.analysis.beside import Beside
from matrix.extension import Ask, Extension
from matrix.invocation import RunRequest, run_matrix
from matrix.plan.plan import Plan
from matrix.reference import record_of
from matrix.results.latest import read_finished
from matrix.results.manifest import Manifest, new_manifest
from matrix.results.record import FactValue, Leak, Record, Status
from tests.support.fakes import SURROUNDINGS, FakeGuests, Seen, answer, make_experiment, make_kernel
from tests.support.sample import EMPTY
from vms.answer import Answer
from vms.errors import UsageError

CATALOGUE = {
    "one": make_experiment("one"),
    "two": replace(make_experiment("two"), variants={"scope": ("user", "root")}),
}
CODE = {"one": "1", "two": "2"}
KERNELS = [make_kernel("6.1.4"), make_kernel("6.1.5"), make_kernel("6.1.6")]


class Asking:
    """Answers plans, and counts the builds and cells that were asked."""

    def __init__(self, *, ends_at: str = "", failing: str = "") -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self._ends_at = ends_at
        self._failing = failing

    def __call__(self, plan: Plan, _beside: Beside) -> tuple[Manifest, Sequence[Record]]:
        (kernel,) = plan.kernels
        if kernel.name == self._ends_at:
            raise KeyboardInterrupt
        self.asked.append((kernel.name, [cell.key[1] for cell in plan.cells]))
        status = Status.ERROR if kernel.name == self._failing else Status.PASS
        facts: dict[str, FactValue] = {"flows": int(kernel.name == "6.1.6")}
        records = [Record(cell.key[0], cell.key[1], dict(cell.variant), status, facts) for cell in plan.cells]
        made = new_manifest(plan, SURROUNDINGS, ("reference",), 1)
        return replace(made, finished=made.started), records


def extension(reference: Path, code: dict[str, str] = CODE) -> Extension:
    return Extension(reference, CATALOGUE, code, EMPTY)


def extend(one: Extension, asking: Asking) -> list[str]:
    steps = one.steps(one.plans(KERNELS), asking)
    return [f"{step.kernel.name} {step.cells} {sorted(step.changed)} {step.left}" for step in steps]


def test_the_newest_build_is_asked_first_and_each_is_compared_with_the_one_beside(tmp_path: Path) -> None:
    asking = Asking()
    assert extend(extension(tmp_path), asking) == [
        "6.1.6 3 [] 2",
        "6.1.5 3 ['one', 'two'] 1",
        "6.1.4 3 [] 0",
    ]
    manifest, records = read_finished(tmp_path)
    assert [kernel.name for kernel in manifest.kernels] == ["6.1.4", "6.1.5", "6.1.6"]
    assert len(records) == 9
    assert "6.1.5" in (tmp_path / "README.md").read_text()


def test_what_was_asked_is_not_asked_again_after_an_interruption(tmp_path: Path) -> None:
    first, second = Asking(ends_at="6.1.5"), Asking()
    with pytest.raises(KeyboardInterrupt):
        extend(extension(tmp_path), first)
    assert len(record_of(tmp_path)) == 1
    extend(extension(tmp_path), second)
    assert [name for name, _ in first.asked + second.asked] == ["6.1.6", "6.1.5", "6.1.4"]
    assert extension(tmp_path).plans(KERNELS) == []


def test_only_new_and_rewritten_experiments_are_asked_of_a_build_on_record(tmp_path: Path) -> None:
    extend(extension(tmp_path), Asking())
    asking = Asking()
    extend(extension(tmp_path, {**CODE, "two": "rewritten"}), asking)
    assert [cells for _, cells in asking.asked] == [["two", "two"]] * 3


def test_a_build_that_cannot_be_asked_is_told_and_asked_by_the_next_call(tmp_path: Path) -> None:
    one = extension(tmp_path)
    steps = list(one.steps(one.plans(KERNELS), Asking(failing="6.1.5")))
    assert [len(step.errors) for step in steps] == [0, 3, 0]
    assert [plan.kernels[0].name for plan in extension(tmp_path).plans(KERNELS)] == ["6.1.5"]


def test_a_build_that_the_archive_no_longer_has_stays(tmp_path: Path) -> None:
    extend(extension(tmp_path), Asking())
    one = extension(tmp_path, {**CODE, "two": "rewritten"})
    list(one.steps(one.plans(KERNELS[1:]), Asking()))
    gone = record_of(tmp_path)[KERNELS[0].id]
    assert len(gone.records) == 3
    assert gone.code == CODE


def test_leaks_are_told(tmp_path: Path) -> None:
    class Leaking(Asking):
        def __call__(self, plan: Plan, beside: Beside) -> tuple[Manifest, Sequence[Record]]:
            manifest, records = super().__call__(plan, beside)
            return manifest, [replace(record, leak=Leak("other", "pass: {}")) for record in records]

    one = extension(tmp_path)
    (step,) = one.steps(one.plans(KERNELS[:1]), Leaking())
    assert len(step.leaks) == 3


def test_a_kernel_that_nobody_else_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mine is from no archive"):
        extension(tmp_path).plans([replace(KERNELS[0], name="mine", id="tree:/linux")])


def test_two_processes_do_not_extend_one_record(tmp_path: Path) -> None:
    with (
        extension(tmp_path).alone(),
        pytest.raises(UsageError, match="another process extends"),
        extension(tmp_path).alone(),
    ):
        pass
    with extension(tmp_path).alone():
        pass


def test_in_real_runs_an_interrupted_build_goes_on_and_what_differs_is_asked_in_a_guest_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.run.executor.interrupt", lambda: None)
    asked: list[tuple[str, str]] = []

    def behave(kernel: str, request: dict[str, Any]) -> Answer:
        asked.append((kernel, request["experiment"]))
        return answer(request, facts={"flows": int(kernel == "6.1.4" and request["experiment"] == "two")})

    class Ends(Seen):
        def finished(self, record: Record) -> None:
            if record.kernel == "6.1.5":
                raise KeyboardInterrupt

    def ask(display: Seen) -> Ask:
        def run(plan: Plan, beside: Beside) -> tuple[Manifest, Sequence[Record]]:
            guests, results = FakeGuests(behave), tmp_path / "results"
            request = RunRequest(plan, CATALOGUE, EMPTY, guests, results, 1, (), display, known=beside)
            analysis = run_matrix(request).analysis
            return analysis.table.manifest, analysis.records

        return run

    one = extension(tmp_path / "reference")
    with pytest.raises(KeyboardInterrupt):
        list(one.steps(one.plans(KERNELS), ask(Ends())))
    assert list(record_of(tmp_path / "reference")) == [KERNELS[2].id]
    before = len(asked)
    steps = list(one.steps(one.plans(KERNELS), ask(Seen())))
    assert [(step.kernel.name, step.cells) for step in steps] == [("6.1.5", 3), ("6.1.4", 3)]
    again = [kernel for kernel, _ in asked[before:]]
    assert again.count("6.1.5") == 2  # one cell was answered before the interruption
    _, records = read_finished(tmp_path / "results" / "latest")
    assert {record.asked.alone for record in records if record.experiment == "two"} == {True}
    assert [record.attempts for record in records if record.experiment == "two"] != [1, 1]
