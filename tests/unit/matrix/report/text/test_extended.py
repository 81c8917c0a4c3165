from __future__ import annotations

from dataclasses import replace

from matrix.analysis.extended import Step
from matrix.analysis.ledger.explain import Verdict
from matrix.plan.plan import make_plan
from matrix.report.text.extended import plans_text, step_text
from matrix.results.record import Leak, Record, Status
from tests.support.fakes import make_experiment, make_kernel

KERNELS = [make_kernel("6.1.4"), make_kernel("6.1.5")]
STEP = Step(
    KERNELS[0],
    370,
    240.0,
    (),
    (),
    KERNELS[1],
    {"max-zero": Verdict.EXPLAINED, "baseline": Verdict.UNEXPLAINED},
    60,
    14_400.0,
)
LOST = Record("6.1.4", "baseline", {}, Status.ERROR, reason="could not boot\nat all")


def test_what_is_lacking_is_counted() -> None:
    plans = [make_plan([kernel], [make_experiment("baseline")]) for kernel in KERNELS]
    assert plans_text(plans, 3) == "the record lacks 2 cells of 2 of 3 builds"
    assert plans_text([], 1) == "the record lacks nothing of 1 build"


def test_a_build_is_a_line_with_what_is_not_explained_first() -> None:
    assert step_text(STEP) == (
        "6.1.4: 370 cells in 4 minutes; as 6.1.5 but for baseline (unexplained), max-zero;"
        " 60 builds left, about 4.0 hours"
    )
    assert step_text(replace(STEP, changed={}, left=0)) == "6.1.4: 370 cells in 4 minutes; as 6.1.5"


def test_many_changes_are_counted() -> None:
    many = {f"question-{number:02}": Verdict.EXPLAINED for number in range(14)}
    assert "question-11 and 2 more; 60" in step_text(replace(STEP, changed=many))


def test_a_build_without_answers_says_why() -> None:
    assert step_text(replace(STEP, cells=1, errors=(LOST,), changed={}, left=0)) == (
        "6.1.4: 1 cell in 4 minutes, 1 without an answer: could not boot"
    )


def test_a_leak_is_named() -> None:
    leaking = replace(LOST, status=Status.PASS, leak=Leak("table-full on 6.1.4", "pass: {}"))
    assert "1 with another answer in a shared guest: baseline after table-full on 6.1.4" in step_text(
        replace(STEP, leaks=(leaking,))
    )
