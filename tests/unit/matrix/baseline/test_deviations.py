"""Changes and failures that the baseline does not hold."""

from __future__ import annotations

from dataclasses import replace

from matrix.baseline.baseline import Baseline, accept
from matrix.baseline.deviations import Standing, standing
from matrix.results.latest import LatestAnswers
from matrix.results.record import FactValue, Record, Status
from tests.support.nights import cell, manifest

NAMES = ("6.1.4", "6.1.5", "6.1.6", "6.12.9")


def night(day: int, *records: Record, on: Baseline | None = None) -> LatestAnswers:
    return (on.known if on else LatestAnswers()).with_run(manifest(day, *NAMES), records)


def accepted(*records: Record) -> Baseline:
    return accept(Baseline(), night(1, *records), "Ada", "2026-11-01T09:00:00+00:00", "looked at")


def shown(found: Standing) -> list[tuple[str, str, str, FactValue | None, FactValue | None]]:
    return [
        (one.earlier.name, one.later.name, one.difference.fact, one.difference.before, one.difference.after)
        for one in found.news
    ]


def failures(found: Standing) -> list[tuple[str, str]]:
    return [(one.kernel.name, one.record.status) for one in found.failures]


def test_an_accepted_answer_is_no_news() -> None:
    baseline = accepted(cell("6.1.5", flows=7), cell("6.12.9", flows=8))
    found = standing(baseline, night(2, cell("6.1.5", flows=7), on=baseline))
    assert found == Standing((), ())


def test_a_new_build_is_compared_with_its_left_neighbour_alone() -> None:
    baseline = accepted(cell("6.1.5", flows=7, drops=3), cell("6.12.9", flows=8, drops=3))
    found = standing(baseline, night(2, cell("6.1.6", flows=9, drops=3), on=baseline))
    assert shown(found) == [("6.1.5", "6.1.6", "flows", 7, 9)]
    assert not found.news[0].moved


def test_a_build_that_left_the_plan_still_is_a_neighbour() -> None:
    baseline = accepted(cell("6.1.4", flows=7), cell("6.12.9", flows=8))
    assert shown(standing(baseline, night(2, cell("6.1.6", flows=7), on=baseline))) == []


def test_the_oldest_build_has_no_neighbour_and_no_news() -> None:
    baseline = accepted(cell("6.1.5", flows=7))
    assert shown(standing(baseline, night(2, cell("6.1.4", flows=1), on=baseline))) == []


def test_a_build_whose_answer_differs_from_its_accepted_one_has_moved() -> None:
    baseline = accepted(cell("6.1.5", flows=7), cell("6.12.9", flows=7))
    found = standing(baseline, night(2, cell("6.1.5", flows=8), on=baseline))
    assert shown(found) == [("6.1.5", "6.1.5", "flows", 7, 8)]
    assert found.news[0].moved


def test_without_a_baseline_every_difference_between_neighbours_is_news() -> None:
    found = standing(
        Baseline(),
        night(
            1, cell("6.1.4", flows=7), cell("6.1.5", flows=8), cell("6.1.6", flows=8), cell("6.12.9", flows=7)
        ),
    )
    assert shown(found) == [("6.1.4", "6.1.5", "flows", 7, 8), ("6.1.6", "6.12.9", "flows", 8, 7)]


def test_news_skip_errors_and_unstable_cells() -> None:
    baseline = accepted(cell("6.1.4", flows=7))
    found = standing(
        baseline,
        night(
            2,
            cell("6.1.5", Status.UNSTABLE, flows=9),
            cell("6.1.6", Status.ERROR),
            cell("6.12.9", flows=8),
            on=baseline,
        ),
    )
    assert shown(found) == [("6.1.4", "6.12.9", "flows", 7, 8)]
    assert failures(found) == [("6.1.5", "unstable")]


def test_a_rewritten_experiment_is_compared_between_kernels_not_with_its_old_answers() -> None:
    baseline = accepted(cell("6.1.4", flows=7), cell("6.1.5", flows=7), cell("6.1.6", flows=7))
    found = standing(baseline, night(2, cell("6.1.5", drops=1), cell("6.1.6", drops=2), on=baseline))
    assert shown(found) == [("6.1.5", "6.1.6", "drops", 1, 2)]


def test_builds_of_different_flavours_are_not_compared() -> None:
    run = manifest(1, "6.1.4", "6.1.5", "6.1.6")
    generic = run.kernels[1]
    run = replace(run, kernels=(run.kernels[0], replace(generic, flavour="generic"), run.kernels[2]))
    known = LatestAnswers().with_run(
        run, [cell("6.1.4", flows=7), cell("6.1.5", flows=8), cell("6.1.6", flows=7)]
    )
    assert shown(standing(Baseline(), known)) == []


def test_an_accepted_failure_is_expected_also_in_later_builds_that_fail_alike() -> None:
    broken = cell("6.1.4", Status.FAIL, flows=7)
    assert failures(standing(Baseline(), night(1, broken))) == [("6.1.4", "fail")]
    baseline = accepted(broken)
    assert (
        failures(
            standing(
                baseline,
                night(
                    2,
                    broken,
                    cell("6.1.5", Status.FAIL, flows=7),
                    cell("6.1.6", Status.FAIL, flows=7),
                    on=baseline,
                ),
            )
        )
        == []
    )
    assert failures(standing(baseline, night(2, cell("6.1.5", Status.FAIL, flows=6), on=baseline))) == [
        ("6.1.5", "fail")
    ]
    assert failures(
        standing(baseline, night(2, cell("6.1.5", flows=7), cell("6.1.6", Status.FAIL, flows=7), on=baseline))
    ) == [("6.1.6", "fail")]


def test_an_unaccepted_failure_is_not_expected_in_the_next_build() -> None:
    known = night(1, cell("6.1.4", Status.FAIL, flows=7), cell("6.1.5", Status.FAIL, flows=7))
    assert failures(standing(Baseline(), known)) == [("6.1.4", "fail"), ("6.1.5", "fail")]


def test_a_build_that_no_longer_supports_an_experiment_is_one_piece_of_news() -> None:
    baseline = accepted(cell("6.1.5", flows=7, drops=3))
    found = standing(baseline, night(2, cell("6.1.6", Status.UNSUPPORTED), on=baseline))
    assert shown(found) == [("6.1.5", "6.1.6", "", "answered", "unsupported")]


def test_a_build_that_reports_an_error_of_its_own_is_news() -> None:
    baseline = accepted(cell("6.1.5", flows=7), cell("6.12.9", flows=7))
    found = standing(baseline, night(2, cell("6.1.5", flows=7, splats=["WARNING: x"]), on=baseline))
    assert shown(found) == [("6.1.5", "6.1.5", "splats", [], ["WARNING: x"])]
