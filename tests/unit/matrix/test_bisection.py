"""One bisection with guests that only pretend: its run directory, reports and resumption."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from matrix.bisect.target import parse_target
from matrix.bisection import BisectRequest, builds_between, run_bisection
from matrix.results.directory import read_run
from matrix.results.record import Record
from tests.support.fakes import FakeGuests, Seen, answer, make_experiment, make_kernel
from tests.support.sample import EMPTY
from vms.answer import Answer
from vms.cache import Cache
from vms.errors import UsageError
from vms.kernels.kernel import Kernel

CATALOGUE = {"baseline": make_experiment("baseline")}
KERNELS = tuple(make_kernel(f"6.1.{number}") for number in range(10, 30))
FIRST_NEW = "6.1.23"


class House:
    """A results directory, and what guests were asked."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.asked: list[str] = []

    def behave(self, kernel: str, request: dict[str, Any]) -> Answer:
        self.asked.append(kernel)
        return answer(request, facts={"flows": 10 if kernel < FIRST_NEW else 7})

    def request(self, kernels: Sequence[Kernel] = KERNELS, **changed: Any) -> BisectRequest:
        usual = BisectRequest(
            parse_target("baseline:flows", CATALOGUE),
            kernels,
            CATALOGUE,
            {"baseline": "the code"},
            EMPTY,
            FakeGuests(self.behave),
            Cache(self.results / "cache"),
            self.results / "runs",
            2,
            ("bisect",),
            Seen(),
            offline=True,
        )
        return replace(usual, **changed)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def pair(found: Any) -> tuple[str, str]:
    interval = found.intervals[found.found]
    return interval.left.build.name, interval.right.build.name


def test_the_run_has_the_kernels_that_were_asked_and_a_report_to_paste(house: House) -> None:
    found = run_bisection(house.request(), pytest.fail)
    assert pair(found) == ("6.1.22", "6.1.23")
    run = house.results / "runs" / found.run
    manifest, records = read_run(run)
    assert {kernel.name for kernel in manifest.kernels} == set(house.asked)
    assert len(records) == len(house.asked) == found.asked < len(KERNELS)
    assert manifest.finished
    text = (run / "report/bisect.md").read_text()
    assert "“10” in 6.1.22-1 became “7” in 6.1.23-1." in text
    assert "The ledger does not explain it." in text
    assert "is not in the cache; ask again without --offline" in text
    assert "6.1.23-1  new      7  (asked now)" in text
    assert (run / "report/index.html").is_file()


def test_a_second_bisection_asks_nothing_unless_it_is_told_to(house: House) -> None:
    first = run_bisection(house.request(), pytest.fail)
    house.asked.clear()
    second = run_bisection(house.request(), pytest.fail)
    assert (second.run, second.asked, house.asked) == ("", 0, [])
    assert pair(second) == pair(first)
    assert {one.run for one in second.builds if one.recorded} == {first.run}
    third = run_bisection(house.request(ask_again=True), pytest.fail)
    assert third.recorded == 0
    assert len(house.asked) == third.asked == first.asked


def test_an_interrupted_bisection_goes_on_with_its_answers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.run.executor.interrupt", lambda: None)

    class Interrupting(Seen):
        def finished(self, record: Record) -> None:
            super().finished(record)
            if len(self.records) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bisection(house.request(display=Interrupting()), pytest.fail)
    before = set(house.asked)
    house.asked.clear()
    found = run_bisection(house.request(), pytest.fail)
    assert pair(found) == ("6.1.22", "6.1.23")
    assert len(before & set(house.asked)) <= 1  # one was under way when it was interrupted
    assert len(list((house.results / "runs").glob("*/manifest.json"))) == 2  # one is the link `latest`


def test_a_build_that_only_the_record_has_counts(house: House) -> None:
    run_bisection(house.request(), pytest.fail)
    left = [kernel for kernel in KERNELS if kernel.name != "6.1.22"]
    found = run_bisection(house.request(left), pytest.fail)
    assert pair(found) == ("6.1.22", "6.1.23")
    assert pair(run_bisection(house.request(left, ask_again=True), pytest.fail)) == ("6.1.21", "6.1.23")


def test_what_was_found_is_json(house: House) -> None:
    written = json.loads(msgspec.json.encode(run_bisection(house.request(), pytest.fail)))
    assert written["intervals"][written["found"]]["right"]["value"] == 7
    assert {one["verdict"] for one in written["builds"]} == {"old", "new", None}


def test_the_builds_of_a_range_are_those_of_its_flavour_in_order() -> None:
    realtime = replace(KERNELS[3], flavour="rt", id="debian:rt", name="6.1.13-rt")
    builds = sorted([*KERNELS, realtime], key=lambda kernel: kernel.name)
    assert builds_between(KERNELS[2], KERNELS[6], builds) == KERNELS[2:7]
    for old, new, message in (
        (KERNELS[2], KERNELS[2], "6.1.12 (6.1.12-1) is not older than 6.1.12"),
        (KERNELS[3], KERNELS[2], "is not older than"),
        (KERNELS[2], realtime, "6.1.12 is of the flavour cloud, 6.1.13-rt of rt"),
        (make_kernel("6.9.9"), KERNELS[2], "6.9.9 is not among the builds of the configured suites"),
    ):
        with pytest.raises(UsageError) as caught:
            builds_between(old, new, builds)
        assert message in str(caught.value)
