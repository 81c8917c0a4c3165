"""Nightly runs in sequence: what they run and what they report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guest.catalogue import Invariant
from matrix.baseline.outcome import Night
from matrix.report.text.night import summary
from matrix.results.latest import read_finished
from matrix.results.record import Status
from tests.support.fakes import make_experiment
from tests.support.house import House


def news(night: Night) -> list[tuple[str, str, str, Any, Any, str]]:
    return [
        (item.earlier, item.later, item.fact, item.before, item.after, item.verdict) for item in night.news
    ]


def test_the_first_night_runs_everything_and_reports_that_nothing_is_accepted(house: House) -> None:
    night = house.night(0)
    assert sorted(house.asked) == [(kernel, "table-full") for kernel in ("5.10.1", "6.1.5", "6.12.9")]
    assert (night.exit_code, night.counts, night.accepted) == (0, {"pass": 3}, None)
    assert "no baseline is accepted yet" in summary(night)


def test_the_first_night_after_a_matrix_run_uses_its_answers(house: House) -> None:
    run = house.matrix(0).run.name
    night = house.night(0)
    assert house.asked == []
    assert (night.counts, night.reused, night.exit_code) == ({"pass": 3}, 3, 0)
    assert "3 pass (3 answered by earlier runs)" in summary(night)
    manifest, records = read_finished(house.results / night.run)
    assert manifest.reused == {run: 3}
    assert {record.reused for record in records} == {run}


def test_the_sample_is_asked_again_although_its_answers_are_known(house: House) -> None:
    house.matrix(0)
    house.night(0)
    night = house.night(1)
    assert night.reused == 0
    assert {kernel for kernel, _ in house.asked} == set(night.sample) != set()


def test_a_failure_of_an_earlier_run_is_asked_again_before_the_night_reports_it(house: House) -> None:
    never = Invariant("drops stay below 4", lambda facts, _variant: facts["drops"] < 4)
    house.experiments = [make_experiment("table-full", {"flows": int, "drops": int}, (never,))]
    house.says = lambda _kernel, _: {"flows": 7, "drops": 9}
    house.matrix(0)
    house.says = lambda _kernel, _: {"flows": 7, "drops": 3}
    night = house.night(0)
    assert len(house.asked) == 3
    assert {cell.status for cell in night.failures} == {Status.UNSTABLE}


def test_a_second_night_on_one_day_runs_nothing(house: House) -> None:
    house.night(0)
    house.accept()
    night = house.night(0)
    assert house.asked == []
    assert (night.run, night.exit_code) == ("", 0)
    assert summary(night).splitlines()[0] == "conntrack-matrix 2026-11-01: nothing new"
    assert len(list(house.results.glob("2*"))) == 1


def test_a_kernel_release_between_two_nights_is_reported_and_nothing_else(house: House) -> None:
    house.says = lambda kernel, _: {"flows": 7 if kernel < "6" else 8, "drops": 3}
    house.night(0)
    house.accept()
    house.kernels = ["5.10.1", "6.1.6", "6.12.9"]
    house.says = lambda kernel, _: {
        "5.10.1": {"flows": 7, "drops": 3},
        "6.1.6": {"flows": 9, "drops": 4},
    }.get(kernel, {"flows": 8, "drops": 3})
    night = house.night(1)
    assert night.new_kernels == ("6.1.6",)
    assert news(night) == [
        ("6.1.5", "6.1.6", "flows", 8, 9, "unexplained"),
        ("6.1.5", "6.1.6", "drops", 3, 4, "explained"),
    ]
    assert (night.exit_code, night.waiting) == (1, 0)
    assert {kernel for kernel, _ in house.asked} == {"6.1.6", *night.sample}
    manifest, _ = read_finished(house.results / night.run)
    assert manifest.pristine == tuple(sorted(night.sample))


def test_a_leak_is_named_in_the_mail_and_makes_the_exit_code_3(house: House) -> None:
    house.kernels = ["6.12.9"]
    house.experiments.append(make_experiment("other", {"flows": int, "drops": int}))
    drops = iter([3, 99])  # the second cell in a guest of the first, and then in guests of its own
    house.says = lambda _kernel, _experiment: {"flows": 7, "drops": next(drops, 3)}
    night = house.night(0)
    assert night.exit_code == 3
    assert night.leaks == (
        'after table-full on 6.12.9: other on 6.12.9 answered pass: {"flows":7,"drops":99}',
    )
    assert summary(night).splitlines()[0].endswith(": 1 leak")
    assert f"leak: {night.leaks[0]}" in summary(night)
    assert house.matrix(1).analysis.leaks == ()  # the answers that were taken over count


def test_an_unaccepted_change_is_reported_once_but_keeps_the_exit_code_1(house: House) -> None:
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.says = lambda kernel, _: {"flows": 9 if kernel == "7.3" else 7, "drops": 3}
    assert house.night(1).exit_code == 1
    again = house.night(1)
    assert (again.run, again.news, again.waiting, again.exit_code) == ("", (), 1, 1)
    assert (
        summary(again).splitlines()[0]
        == "conntrack-matrix 2026-11-02: nothing new, 1 change or failure of earlier nights not accepted yet"
    )
    house.accept()
    accepted = house.night(1)
    assert (accepted.waiting, accepted.exit_code) == (0, 0)


def test_explained_changes_alone_end_with_0(house: House) -> None:
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.says = lambda kernel, _: {"flows": 7, "drops": 5 if kernel == "7.3" else 3}
    night = house.night(1)
    assert (len(night.news), night.exit_code) == (1, 0)
    assert "1 explained change" in summary(night).splitlines()[0]
    assert (
        "More packets are dropped. (https://git.kernel.org/torvalds/c/b12fa46b12fa46)" in night.news[0].words
    )


def test_a_change_that_contradicts_the_ledger_makes_the_exit_code_1(house: House) -> None:
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.says = lambda kernel, _: {"flows": 7, "drops": 99 if kernel == "7.3" else 3}
    night = house.night(1)
    assert ([item.verdict for item in night.news], night.exit_code) == (["contradicted"], 1)


def test_a_new_experiment_runs_on_every_kernel(house: House) -> None:
    house.night(0)
    house.accept()
    house.experiments.append(make_experiment("baseline", {"flows": int, "drops": int}))
    night = house.night(0)
    assert night.new_experiments == ("baseline",)
    assert sorted(house.asked) == [(kernel, "baseline") for kernel in ("5.10.1", "6.1.5", "6.12.9")]


def test_a_cell_whose_repeat_disagrees_is_unstable_and_no_change(house: House) -> None:
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    answers = iter([9, 8])
    house.says = lambda kernel, _: {"flows": next(answers) if kernel == "7.3" else 7, "drops": 3}
    night = house.night(1)
    assert house.asked.count(("7.3", "table-full")) == 2
    assert night.news == ()
    assert [(cell.kernel, cell.status) for cell in night.failures] == [("7.3", Status.UNSTABLE)]
    _, records = read_finished(house.results / night.run)
    (record,) = [record for record in records if record.kernel == "7.3"]
    assert (record.status, record.facts) == (Status.UNSTABLE, {"flows": 9, "drops": 3})
    assert '"flows":8' in record.reason
    on_disk = json.loads((house.results / night.run / "cells/7.3/table-full/record.json").read_text())
    assert on_disk["status"] == "unstable"


def test_a_confirmed_change_ran_twice_in_fresh_guests(house: House) -> None:
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.says = lambda kernel, _: {"flows": 9 if kernel == "7.3" else 7, "drops": 3}
    house.night(1)
    assert house.asked.count(("7.3", "table-full")) == 2
    assert (house.results / "latest").resolve().name.startswith("20261102")


def test_a_build_that_differs_from_its_accepted_answer_is_never_explained(house: House) -> None:
    house.kernels = ["6.1.5"]
    house.night(0)
    house.accept()
    house.says = lambda _kernel, _: {"flows": 7, "drops": 4}
    night = house.night(1)
    assert news(night) == [("", "6.1.5", "drops", 3, 4, "unexplained")]
    assert "6.1.5 itself" in summary(night)


@pytest.mark.fault(
    phase="night", fault="guest ends", outcome="`error` tonight; it is asked again the next night"
)
def test_a_lost_kernel_is_an_error_and_runs_again_the_next_night(house: House) -> None:
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.lost = {"7.3"}
    night = house.night(1)
    assert (night.exit_code, night.news, night.counts["error"]) == (3, (), 1)
    house.lost = set()
    again = house.night(1)
    assert ("7.3", "table-full") in house.asked
    assert again.exit_code == 0


@pytest.mark.fault(
    phase="night", fault="clock ahead", outcome="later nights are newer all the same, and the jump is named"
)
def test_a_night_with_the_clock_ahead_hides_no_later_change(house: House) -> None:
    house.kernels = ["6.1.5"]
    house.night(0)
    house.accept()
    house.night(36_500)
    house.says = lambda _kernel, _: {"flows": 7, "drops": 4}
    night = house.night(2)
    assert news(night) == [("", "6.1.5", "drops", 3, 4, "unexplained")]
    assert [note for note in house.notes if "2126-10-08T02:00:00+00:00, which is in the future" in note]


@pytest.mark.fault(phase="night", fault="clock behind", outcome="that night is newer all the same")
def test_a_night_with_the_clock_behind_hides_no_change(house: House) -> None:
    house.kernels = ["6.1.5"]
    house.night(0)
    house.accept()
    house.says = lambda _kernel, _: {"flows": 7, "drops": 4}
    night = house.night(-10_000)
    assert news(night) == [("", "6.1.5", "drops", 3, 4, "unexplained")]
    house.accept()
    assert (house.night(1).news, house.night(1).exit_code) == ((), 0)


def test_answers_that_another_machine_gave_are_older_than_those_of_tonight(house: House) -> None:
    house.kernels = ["6.1.5"]
    for night in range(3):
        house.night(night)
    house.accept()
    house.results = house.results.with_name("of-another-machine")
    house.says = lambda _kernel, _: {"flows": 7, "drops": 4}
    assert news(house.night(3)) == [("", "6.1.5", "drops", 3, 4, "unexplained")]


def test_a_failure_keeps_the_exit_code_1_until_it_is_accepted(house: House) -> None:
    never = Invariant("drops stay below 4", lambda facts, _variant: facts["drops"] < 4)
    house.experiments = [make_experiment("table-full", {"flows": int, "drops": int}, (never,))]
    house.says = lambda _kernel, _: {"flows": 7, "drops": 9}
    night = house.night(0)
    assert (len(night.failures), night.exit_code) == (3, 1)
    house.accept()
    assert house.night(1).exit_code == 0
