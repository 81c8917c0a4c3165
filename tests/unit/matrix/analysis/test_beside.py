"""What builds beside a build say of its answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from matrix.analysis.beside import Beside, changed, nearest
from matrix.analysis.ledger.explain import Verdict
from matrix.results.published import Published
from matrix.results.record import Record, Status
from tests.support.nights import cell, manifest
from tests.support.sample import EMPTY
from vms.kernels.order import series_of

CODE = {"table-full": "now"}


def build(name: str, flows: int = 1, code: str = "now") -> Published:
    made = manifest(1, name)
    (kernel,) = made.kernels
    made = replace(made, kernels=(replace(kernel, series=series_of(name)),))
    return Published(made, (cell(name, flows=flows),), {"table-full": code})


def expected(answer: Record, *builds: Published) -> bool:
    return Beside(build(answer.kernel).kernel, builds, CODE).expects(build(answer.kernel).kernel, answer)


@pytest.mark.parametrize(
    ("builds", "expects"),
    [
        ([], False),
        ([build("6.1.4")], True),
        ([build("6.1.4", flows=2)], False),
        ([build("6.1.4"), build("6.1.6")], True),
        ([build("6.1.4"), build("6.1.6", flows=2)], False),
        ([build("6.1.4", flows=2), build("6.1.6")], False),
        # only the nearest of the series count
        ([build("6.1.3", flows=2), build("6.1.4"), build("6.1.6"), build("6.1.7", flows=2)], True),
        ([build("5.10.9", flows=2), build("6.1.6"), build("6.12.1", flows=2)], True),
        # without one in the series, the nearest older one
        ([build("5.10.8", flows=2), build("5.10.9"), build("6.12.1", flows=2)], True),
        ([build("6.12.1")], True),
        # of an experiment that was rewritten since
        ([build("6.1.4", code="before")], False),
        ([build("6.1.3"), build("6.1.4", flows=2, code="before")], True),
    ],
)
def test_an_answer_is_expected_if_all_builds_beside_gave_it(builds: list[Published], expects: bool) -> None:
    assert expected(cell("6.1.5", flows=1), *builds) is expects


def test_nothing_but_a_pass_is_expected() -> None:
    failed = cell("6.1.5", Status.FAIL, flows=1)
    beside = build("6.1.4")
    assert not expected(failed, replace(beside, records=(replace(failed, kernel="6.1.4"),)))


def test_a_build_is_not_beside_itself() -> None:
    assert not expected(cell("6.1.5", flows=1), build("6.1.5"))
    assert nearest(build("6.1.5").kernel, [build("6.1.5")]) is None


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["6.1.3", "6.1.4", "6.1.6"], "6.1.4"),
        (["5.10.9", "6.1.6", "6.1.7"], "6.1.6"),
        (["5.10.8", "5.10.9", "6.12.1"], "5.10.9"),
        (["6.12.1", "6.12.2"], "6.12.1"),
    ],
)
def test_the_nearest_is_the_build_before_in_the_series(names: list[str], found: str) -> None:
    one = nearest(build("6.1.5").kernel, map(build, names))
    assert one
    assert one.kernel.name == found


def test_what_changed_is_told_of_experiments_that_were_asked_alike() -> None:
    one, other = build("6.1.4"), build("6.1.5", flows=2)
    assert changed(one, other, EMPTY) == changed(other, one, EMPTY) == {"table-full": Verdict.UNEXPLAINED}
    assert changed(one, build("6.1.5"), EMPTY) == {}
    assert changed(one, replace(other, code={"table-full": "then"}), EMPTY) == {}
