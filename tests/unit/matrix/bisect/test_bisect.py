"""A bisection over builds whose answers are made up: what it asks, takes, refuses and says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from matrix.analysis.ledger.explain import Verdict as Explained
from matrix.analysis.ledger.model import Change, Commit, Confirmed, Ledger
from matrix.bisect.bisect import Request, bisect
from matrix.bisect.outcome import Bisection
from matrix.bisect.search import Side
from matrix.bisect.target import Target
from matrix.results.record import FactValue, Record, Status
from tests.support.fakes import make_experiment, make_kernel
from vms.errors import FetchError, HostError, UsageError
from vms.kernels.kernel import Build

EXPERIMENT = make_experiment("rst", {"lifetime": str})
TARGET = Target(EXPERIMENT, {}, EXPERIMENT.facts[0])
FIX = Commit(
    "fix", "netfilter: fix rst", Confirmed.CHANGELOG, "It is fixed.", "ab", "6.12", backports=("6.1.5",)
)
OTHER = Commit("other", "netfilter: other", Confirmed.CHANGELOG, "Another.", "cd", "6.12", ("6.1.5",))
LEDGER = Ledger(
    {"fix": FIX, "other": OTHER},
    (Change("rst", FIX, "lifetime", "", "10 s", "300 s"),),
    {"6.1": "6.1.99"},
)
EMPTY = Ledger({}, (), {})
Answer = FactValue | Status


class House:
    """Builds 6.1.0, 6.1.1, ... with these answers, and what was asked of them."""

    def __init__(self, *answers: Answer) -> None:
        self.builds: list[Build] = [make_kernel(f"6.1.{place}") for place in range(len(answers))]
        self.answers = dict(zip((build.id for build in self.builds), answers, strict=True))
        self.asked: list[str] = []
        self.notes: list[str] = []

    def record(self, build: Build) -> Record:
        answer = self.answers[build.id]
        if isinstance(answer, Status):
            return Record(build.name, "rst", {}, answer, reason="the kernel's words\nand more")
        return Record(build.name, "rst", {}, Status.PASS, {"lifetime": answer})

    def ask(self, builds: Sequence[Build]) -> Mapping[str, tuple[Record, str]]:
        self.asked += [build.name for build in builds]
        return {build.id: (self.record(build), "run-2") for build in builds}

    def bisect(
        self, *recorded: int, ledger: Ledger = EMPTY, find_fix: bool = False, at_once: int = 1
    ) -> Bisection:
        known = {self.builds[place].id: (self.record(self.builds[place]), "run-1") for place in recorded}
        request = Request(TARGET, self.builds, known, ledger, at_once, find_fix)
        return bisect(request, self.ask, self.titles, self.notes.append)

    def titles(self, left: Build, right: Build) -> Sequence[str]:
        return (f"netfilter: rst after {left.version}", f"drm: in {right.version}")


def names(found: Bisection) -> list[tuple[str, str]]:
    return [(interval.left.build.name, interval.right.build.name) for interval in found.intervals]


OLD, NEW = "10 s", "300 s"


def test_the_pair_is_found_with_the_ledgers_commits_and_the_titles_between() -> None:
    house = House(*[OLD] * 5, *[NEW] * 5)
    found = house.bisect(ledger=LEDGER)
    (interval,) = found.intervals
    assert names(found) == [("6.1.4", "6.1.5")]
    assert (found.old, found.new) == (OLD, NEW)
    assert (interval.explained, interval.commits, interval.gained) == (Explained.EXPLAINED, (FIX,), (OTHER,))
    assert (interval.candidates, interval.titles) == (("netfilter: rst after 6.1.4-1",), 2)
    assert house.asked[:2] == ["6.1.0", "6.1.9"]
    assert len(house.asked) == len(set(house.asked)) == found.asked < 10
    assert found.unasked == 10 - found.asked


def test_answers_on_record_are_taken_said_to_be_and_not_asked() -> None:
    house = House(*[OLD] * 5, *[NEW] * 5)
    found = house.bisect(0, 4, 5, 9)
    assert names(found) == [("6.1.4", "6.1.5")]
    assert not {"6.1.0", "6.1.4", "6.1.5", "6.1.9"} & set(house.asked)
    assert found.recorded == 4
    assert [one.run for one in found.builds if one.recorded] == ["run-1"] * 4
    assert house.notes[0] == "on record, and taken: the answers of 4 of 10 builds"


def test_what_does_not_answer_either_value_is_stepped_around_and_named() -> None:
    house = House(OLD, OLD, "60 s", Status.ERROR, Status.UNSUPPORTED, NEW, NEW)
    found = house.bisect()
    (interval,) = found.intervals
    assert names(found) == [("6.1.1", "6.1.5")]
    assert [one.build.name for one in interval.unknown] == ["6.1.2", "6.1.3", "6.1.4"]
    assert {one.verdict for one in interval.unknown} == {Side.UNKNOWN}
    assert [one.value for one in interval.unknown] == ["60 s", None, None]


def test_a_change_there_and_back_is_told_with_all_its_intervals() -> None:
    house = House(*[OLD] * 4, *[NEW] * 4, *[OLD] * 4, NEW)
    found = house.bisect()
    assert names(found) == [("6.1.3", "6.1.4"), ("6.1.7", "6.1.8"), ("6.1.11", "6.1.12")]
    assert found.found == 2
    assert house.bisect(find_fix=True).found == 0


def test_with_room_for_three_there_are_fewer_steps() -> None:
    answers = [OLD] * 20 + [NEW] * 20
    assert House(*answers).bisect(at_once=3).steps < House(*answers).bisect().steps


def test_ends_that_are_equal_are_refused_and_what_is_on_record_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        House(OLD, NEW, OLD).bisect(1)
    assert str(caught.value) == (
        "rst:lifetime is '10 s' on both 6.1.0 and 6.1.2; give two builds that differ (by answers on record,"
        " 6.1.1 has '300 s')"
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [(Status.UNSUPPORTED, UsageError), (Status.CRASH, UsageError), (Status.ERROR, HostError)],
)
def test_an_end_without_the_fact_is_refused_with_its_reason(status: Status, kind: type[Exception]) -> None:
    house = House(OLD, NEW, status)
    with pytest.raises(
        kind, match=f"6.1.2, an end of the range, is {status} and has no fact .lifetime.: the kernel.s words$"
    ):
        house.bisect()
    assert house.asked == ["6.1.0", "6.1.2"]


def test_a_changelog_that_cannot_be_read_is_said_and_ends_nothing() -> None:
    class Silent(House):
        def titles(self, left: Build, right: Build) -> Sequence[str]:
            raise FetchError("the mirror does not answer")

    (interval,) = Silent(OLD, NEW).bisect().intervals
    assert (interval.candidates, interval.no_changelog) == ((), "the mirror does not answer")
    assert interval.explained is Explained.UNEXPLAINED
