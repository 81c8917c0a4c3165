"""Which cells of a known plan run again on a day."""

from __future__ import annotations

from datetime import timedelta

from matrix.nightly.sample import ROUND, choose
from matrix.plan.plan import Plan, make_plan
from matrix.results.latest import LatestAnswers
from matrix.results.manifest import Manifest, kernel_entries
from matrix.results.record import Record, Status
from tests.support.fakes import SURROUNDINGS, make_experiment, make_kernel
from tests.support.house import FIRST


def test_the_sample_depends_on_the_day_and_covers_every_kernel_in_turn() -> None:
    kernels = [make_kernel(f"6.{number}.1") for number in range(30)]
    plan = make_plan(kernels, [make_experiment("table-full")])
    known = all_known(plan)
    seen: set[str] = set()
    for night in range(ROUND):
        today = FIRST + timedelta(days=night)
        tonight = choose(plan, known, today)
        assert tonight == choose(plan, known, today)
        assert 0 < len(tonight.sample) <= 3
        seen |= {kernel.name for kernel in tonight.sample}
    assert seen == {kernel.name for kernel in kernels}


def all_known(plan: Plan) -> LatestAnswers:
    run = Manifest("r", "p", "2026-10-01T02:00:00+00:00", (), 1, (), kernel_entries(plan), SURROUNDINGS)
    return LatestAnswers().with_run(
        run,
        [
            Record(cell.kernel.name, cell.experiment.name, {}, Status.PASS, {"flows": 10})
            for cell in plan.cells
        ],
    )
