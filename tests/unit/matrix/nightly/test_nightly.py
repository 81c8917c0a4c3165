"""Nightly runs in sequence: what they run and what they report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from junitparser import JUnitXml

from guest.catalogue import Experiment, Invariant
from matrix import invocation
from matrix.analysis.ledger.model import Change as Entry
from matrix.analysis.ledger.model import Commit, Confirmed, Ledger
from matrix.baseline.baseline import Baseline, accept
from matrix.baseline.outcome import Night
from matrix.invocation import RunRequest
from matrix.nightly.nightly import nightly
from matrix.nightly.sample import ROUND, choose
from matrix.plan.plan import Plan, make_plan
from matrix.report.text.night import summary
from matrix.results.latest import LatestAnswers, read_finished, read_latest
from matrix.results.manifest import Manifest, kernel_entries
from matrix.results.record import Record, Status
from tests.support.fakes import SURROUNDINGS, FakeGuests, Seen, answer, make_experiment, make_kernel
from vms.errors import LostGuest

FIRST = date(2026, 11, 1)


COMMIT = Commit(
    "fewer-drops",
    "netfilter: drop less",
    Confirmed.CHANGELOG,
    "More packets are dropped.",
    hash="b12fa46b12fa46",
    mainline="7.0",
    backports=("6.1.6",),
)
LEDGER = Ledger(
    {COMMIT.key: COMMIT},
    tuple(Entry("table-full", COMMIT, "drops", before=3, after=after) for after in (4, 5)),
    {"6.1": "6.1.9", "6.12": "6.12.9"},
)


@dataclass
class House:
    """One machine over several nights.

    `says` gives the facts of a kernel; `asked` collects what was really run, night by night.
    """

    results: Path
    clock: Callable[[date], None]
    kernels: list[str] = field(default_factory=lambda: ["5.10.1", "6.1.5", "6.12.9"])
    experiments: list[Experiment] = field(
        default_factory=lambda: [make_experiment("table-full", {"flows": int, "drops": int})]
    )
    says: Callable[[str, str], dict[str, Any]] = lambda _kernel, _experiment: {"flows": 7, "drops": 3}
    baseline: Baseline = field(default_factory=Baseline)
    since_lock: tuple[str, ...] = ()
    locked: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    def night(self, number: int) -> Night:
        today = FIRST + timedelta(days=number)
        self.clock(today)
        self.asked = []

        def behaviour(kernel: str, request: dict[str, Any]) -> bytes:
            if kernel in self.lost:
                raise LostGuest(f"{kernel} went away")
            self.asked.append((kernel, request["experiment"]))
            return answer(request, facts=self.says(kernel, request["experiment"]))

        plan = make_plan([make_kernel(name) for name in self.kernels], self.experiments)
        catalogue = {experiment.name: experiment for experiment in self.experiments}
        request = RunRequest(
            plan,
            catalogue,
            LEDGER,
            FakeGuests(behaviour),
            self.results,
            1,
            ("nightly",),
            Seen(),
        )
        return nightly(request, self.baseline, today, since_lock=self.since_lock, locked=self.locked)

    def accept(self) -> None:
        known = read_latest(self.results, self.baseline.known, pytest.fail)
        self.baseline = accept(self.baseline, known, "Ada", "2026-11-01T09:00:00+00:00", "looked at")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    def clock(today: date) -> None:
        at = datetime(today.year, today.month, today.day, 2, tzinfo=UTC)
        monkeypatch.setattr(invocation, "now", lambda: at.isoformat(timespec="seconds"))
        monkeypatch.setattr(
            invocation, "datetime", type("Clock", (), {"now": staticmethod(lambda _zone: at)})
        )

    return House(tmp_path / "results", clock)


def news(night: Night) -> list[tuple[str, str, str, Any, Any, str]]:
    return [
        (item.earlier, item.later, item.fact, item.before, item.after, item.verdict) for item in night.news
    ]


def test_the_first_night_runs_everything_and_reports_that_nothing_is_accepted(house: House) -> None:
    night = house.night(0)
    assert sorted(house.asked) == [(kernel, "table-full") for kernel in ("5.10.1", "6.1.5", "6.12.9")]
    assert (night.exit_code, night.counts, night.accepted) == (0, {"pass": 3}, None)
    assert "no baseline is accepted yet" in summary(night)


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


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        (False, "newer than matrix.lock: 6.12.10; `./invoke lock"),
        (True, "newer than matrix.lock, so not run: 6.12.10; `./invoke lock"),
    ],
)
def test_kernels_that_the_lock_does_not_hold_are_named(house: House, *, locked: bool, said: str) -> None:
    house.since_lock, house.locked = ("6.12.10",), locked
    assert said in summary(house.night(0))
    house.accept()
    assert said in summary(house.night(0))


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


def test_a_long_line_keeps_its_link(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.report.text.night.WIDTH", 120)
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.says = lambda kernel, _: {"flows": 7, "drops": 5 if kernel == "7.3" else 3}
    (line,) = [line for line in summary(house.night(1)).splitlines() if "drops" in line]
    assert len(line) <= 122
    assert line.endswith("… (https://git.kernel.org/torvalds/c/b12fa46b12fa46)")


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


def test_a_failure_keeps_the_exit_code_1_until_it_is_accepted(house: House) -> None:
    never = Invariant("drops stay below 4", lambda facts, _variant: facts["drops"] < 4)
    house.experiments = [make_experiment("table-full", {"flows": int, "drops": int}, (never,))]
    house.says = lambda _kernel, _: {"flows": 7, "drops": 9}
    night = house.night(0)
    assert (len(night.failures), night.exit_code) == (3, 1)
    house.accept()
    assert house.night(1).exit_code == 0


def test_the_sample_depends_on_the_day_and_covers_every_kernel_in_turn() -> None:
    kernels = [make_kernel(f"6.{number}.1") for number in range(30)]
    plan = make_plan(kernels, [make_experiment("table-full")])
    known = _all_known(plan)
    seen: set[str] = set()
    for night in range(ROUND):
        today = FIRST + timedelta(days=night)
        tonight = choose(plan, known, today)
        assert tonight == choose(plan, known, today)
        assert 0 < len(tonight.sample) <= 3
        seen |= {kernel.name for kernel in tonight.sample}
    assert seen == {kernel.name for kernel in kernels}


def _all_known(plan: Plan) -> LatestAnswers:
    run = Manifest("r", "p", "2026-10-01T02:00:00+00:00", (), 1, (), kernel_entries(plan), SURROUNDINGS)
    return LatestAnswers().with_run(
        run,
        [
            Record(cell.kernel.name, cell.experiment.name, {}, Status.PASS, {"flows": 10})
            for cell in plan.cells
        ],
    )


def test_the_summary_of_a_night_has_at_most_ten_lines_and_no_escapes(house: House) -> None:
    house.experiments = [make_experiment(f"e{number}", {"word": str}) for number in range(20)]
    house.kernels = [f"6.{number}.1" for number in range(10, 20)]
    house.says = lambda kernel, experiment: {"word": f"\x1b[31m{kernel}\n{experiment}" * 100}
    night = house.night(0)
    text = summary(night)
    assert len(text.splitlines()) <= 10
    assert all(len(line) <= 210 for line in text.splitlines())
    assert "\x1b" not in text
    assert "more in the report" in text


def test_the_printed_night_is_the_content_of_its_file(house: House) -> None:
    night = house.night(0)
    assert msgspec.json.decode((house.results / night.run / "nightly.json").read_bytes(), type=Night) == night


def test_junit_holds_the_changes(house: House) -> None:
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.says = lambda kernel, _: {"flows": 9, "drops": 5} if kernel == "7.3" else {"flows": 7, "drops": 3}
    night = house.night(1)
    document = JUnitXml.fromstring((house.results / night.run / "report" / "junit.xml").read_bytes())
    (suite,) = [suite for suite in document if suite.name == "changes since the baseline"]
    assert [(case.classname, case.name, bool(case.result)) for case in suite] == [
        ("7.3", "table-full flows", True),
        ("7.3", "table-full drops", False),
    ]


def test_variants_with_the_same_news_are_one_item(house: House) -> None:
    house.experiments = [
        make_experiment("table-full", {"flows": int, "drops": int}, variants={"scope": ("root", "user")})
    ]
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.says = lambda kernel, _: {"flows": 9 if kernel == "7.3" else 7, "drops": 3}
    night = house.night(1)
    assert [(item.variants, item.label) for item in night.news] == [(("scope=root", "scope=user"), "")]
