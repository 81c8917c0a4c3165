"""Guests that answer many cells: when they go on, when their answers count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from matrix.analysis.known import Known
from matrix.analysis.ledger.model import Ledger
from matrix.plan.plan import Plan, make_plan
from matrix.results.latest import LatestAnswers
from matrix.results.record import Leak, Record, Status
from matrix.run.cell import Question, ask
from matrix.run.idle import idle
from matrix.run.runner import execute
from tests.support.fakes import FakeGuest, FakeGuests, Seen, answer, make_experiment, make_kernel
from tests.support.runs import open_for
from vms.answer import Answer
from vms.deadline import Deadline
from vms.errors import LostGuest
from vms.hardware import Hardware

KERNEL = make_kernel("6.12.1")
NAMES = ("a", "b", "c", "d")
PLAN = make_plan([KERNEL], [make_experiment(name) for name in NAMES])


class Expecting:
    """Knows the facts of every experiment: ten flows."""

    def expects(self, kernel: object, record: Record) -> bool:
        return record.status is Status.PASS and record.facts == {"flows": 10}

    def learn(self, kernel: object, record: Record) -> None:
        pass


def run(guests: FakeGuests, results: Path, plan: Plan = PLAN) -> dict[str, Record]:
    directory = open_for(plan, results)
    execute(plan, guests, directory, 1, Seen(), Expecting())
    directory.close(finished=True)
    assert guests.running == []
    return {key[1]: record for key, record in directory.records.items()}


def behaving(others: dict[tuple[str, ...], dict[str, Any]]) -> FakeGuests:
    """Guests that answer as expected, but otherwise if these are all that they were asked."""
    return FakeGuests(lambda _kernel, request: answer(request, **others.get(tuple(request["cells"]), {})))


def test_one_guest_answers_all_cells_of_a_kernel(tmp_path: Path) -> None:
    guests = FakeGuests()
    records = run(guests, tmp_path)
    assert len(guests.most) == 1
    assert [records[name].asked.place for name in NAMES] == [1, 2, 3, 4]
    assert [records[name].asked.after for name in NAMES] == ["", *(f"{name} on 6.12.1" for name in "abc")]
    assert len({record.asked.guest for record in records.values()}) == 1
    assert len(idle) == 0


def test_each_cell_has_its_own_part_of_the_console(tmp_path: Path) -> None:
    run(FakeGuests(), tmp_path)
    cells = tmp_path / "latest" / "cells" / "6.12.1"
    assert (cells / "a" / "console.log").read_text() == "6.12.1 booting\n"
    assert (cells / "c" / "console.log").read_text() == "c\n"


def test_a_guest_in_which_something_is_left_answers_no_more_and_its_record_tells_what(tmp_path: Path) -> None:
    def left(cells: Sequence[str]) -> list[str]:
        return ["sysctl x: 1, was 0"] if cells[-1] == "b" else []

    guests = FakeGuests(left=left)
    records = run(guests, tmp_path)
    assert len(guests.most) == 2
    assert records["b"].asked.left == ("sysctl x: 1, was 0",)
    assert [records[name].asked.place for name in NAMES] == [1, 2, 1, 2]
    assert records["c"].asked.after == ""


def test_a_guest_whose_console_grew_long_answers_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.run.cell._MOST_CONSOLE", len("6.12.1 booting\nb\n"))
    records = run(FakeGuests(), tmp_path)
    assert [records[name].asked.place for name in NAMES] == [1, 2, 3, 1]


class PanicsWhenTidied(FakeGuest):
    """Its kernel panics while the agent cleans up."""

    def ask(self, request: bytes, deadline: Deadline, limit: Deadline | None = None) -> Answer:
        if json.loads(request)["do"] == "settle":
            self.crashed = "Kernel panic - not syncing"
        return super().ask(request, deadline, limit)


def test_a_guest_whose_kernel_crashes_while_it_is_cleaned_up_answers_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.support.fakes.FakeGuest", PanicsWhenTidied)
    guests = FakeGuests()
    template = guests.template(guests.fetch(KERNEL), Hardware())
    outcome = ask(template, Question("a on 6.12.1", "a", {}, 30.0, own=False))
    assert outcome.crashed == "Kernel panic - not syncing"
    assert guests.running == []


@pytest.mark.parametrize("outcome", ["timeout", "error"])
def test_a_guest_answers_no_more_after_a_cell_that_ended_badly(tmp_path: Path, outcome: str) -> None:
    guests = behaving({("a",): {"outcome": outcome, "facts": {}, "reason": "late"}})
    records = run(guests, tmp_path)
    assert records["a"].asked.guest not in {records[name].asked.guest for name in "bcd"}


def test_a_cell_that_must_be_alone_is(tmp_path: Path) -> None:
    plan = make_plan([KERNEL], [make_experiment("a"), make_experiment("b", alone="it asks what is loaded")])
    records = run(FakeGuests(), tmp_path, plan)
    assert records["a"].asked.guest != records["b"].asked.guest
    assert records["b"].asked.alone


def test_an_unexpected_answer_counts_once_a_guest_of_its_own_gave_it(tmp_path: Path) -> None:
    seven = {"facts": {"flows": 7}}
    records = run(behaving({("a", "b"): seven, ("b",): seven}), tmp_path)
    assert (records["b"].facts, records["b"].attempts, records["b"].leak) == ({"flows": 7}, 2, None)
    assert records["b"].asked.alone


@pytest.mark.parametrize(
    "other", [{"facts": {"flows": 7}}, {"outcome": "unsupported", "facts": {}, "reason": "no"}]
)
def test_an_answer_that_only_a_shared_guest_gave_is_a_leak(tmp_path: Path, other: dict[str, Any]) -> None:
    records = run(behaving({("a", "b"): other}), tmp_path)
    assert records["b"].status is Status.PASS
    assert records["b"].facts == {"flows": 10}
    leak = records["b"].leak
    assert leak is not None
    assert leak.after == "a on 6.12.1"
    assert ("7" if "flows" in str(other) else "unsupported: no") in leak.answer
    assert records["b"].attempts == 3


def test_an_answer_that_guests_of_its_own_do_not_agree_on_is_unstable(tmp_path: Path) -> None:
    given = iter([7, 8, 9])

    def behave(_kernel: str, request: dict[str, Any]) -> Answer:
        return answer(request, facts={"flows": next(given) if request["experiment"] == "b" else 10})

    records = run(FakeGuests(behave), tmp_path)
    assert records["b"].status is Status.UNSTABLE
    assert records["b"].leak is None


def test_a_crash_that_only_a_shared_guest_had_is_unstable_not_a_leak(tmp_path: Path) -> None:
    def behave(_kernel: str, request: dict[str, Any]) -> Answer:
        if request["cells"] == ["a", "b"]:
            raise LostGuest("gone", "kernel panic")
        return answer(request)

    records = run(FakeGuests(behave), tmp_path)
    assert records["b"].status is Status.UNSTABLE
    assert "crashed: kernel panic" in records["b"].reason
    assert records["b"].leak is None


def test_a_guest_that_is_lost_is_no_answer_to_compare_with(tmp_path: Path) -> None:
    def behave(_kernel: str, request: dict[str, Any]) -> Answer:
        if request["cells"] == ["a", "b"]:
            raise LostGuest("gone")
        return answer(request)

    records = run(FakeGuests(behave), tmp_path)
    assert (records["b"].status, records["b"].attempts, records["b"].leak) == (Status.PASS, 2, None)


def test_an_error_that_only_a_shared_guest_answered_is_a_leak(tmp_path: Path) -> None:
    records = run(
        behaving({("a", "b"): {"outcome": "error", "facts": {}, "reason": "Traceback ..."}}), tmp_path
    )
    assert records["b"].status is Status.PASS
    assert records["b"].leak == Leak("a on 6.12.1", "error: Traceback ...")


def test_known_facts_and_facts_of_a_neighbour_are_expected_and_others_are_not() -> None:
    def record(flows: int, status: Status = Status.PASS) -> Record:
        return Record("k", "baseline", {}, status, {"flows": flows})

    known = Known(LatestAnswers(), Ledger({}, (), {}))
    old, new, newest = make_kernel("6.1.1"), make_kernel("6.12.1"), make_kernel("7.0.1")
    assert not known.expects(old, record(10))
    known.learn(old, record(10))
    assert known.expects(old, record(10))
    assert not known.expects(old, record(10, Status.FAIL))
    assert known.expects(new, record(10))
    assert not known.expects(new, record(7))
    known.learn(new, record(7))
    assert known.expects(newest, record(7))
    assert not known.expects(newest, record(10))
    known.learn(newest, record(1, Status.UNSTABLE))
    assert not known.expects(newest, record(1))
