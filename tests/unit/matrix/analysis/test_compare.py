from __future__ import annotations

from dataclasses import replace

import pytest

from matrix.analysis.compare import Difference, Kind, compare_cells, differences, neighbours
from matrix.results.record import Record, Status
from vms.splats import Kind as SplatKind
from vms.splats import Splat

BEFORE = Record("6.1", "x", {}, Status.PASS, {"flows": 10, "raw": 10, "old": 1})
AFTER = Record("6.12", "x", {}, Status.FAIL, {"flows": 10, "raw": 7, "new": ["2"]})
ERROR = Record("6.6", "x", {}, Status.ERROR, {})
UNSTABLE = Record("6.6", "x", {}, Status.UNSTABLE, {"flows": 3})
UNSUPPORTED = Record("6.6", "x", {}, Status.UNSUPPORTED, {}, "no tun")
CRASH = Record("6.6", "x", {}, Status.CRASH)


def kinds(before: Record | None, after: Record | None) -> dict[str, Kind]:
    return {difference.fact: difference.kind for difference in compare_cells(before, after)}


def test_each_fact_is_same_changed_appeared_or_disappeared() -> None:
    assert kinds(BEFORE, AFTER) == {
        "flows": Kind.SAME,
        "raw": Kind.CHANGED,
        "new": Kind.APPEARED,
        "old": Kind.DISAPPEARED,
    }


def test_a_difference_holds_both_values() -> None:
    raw = next(difference for difference in compare_cells(BEFORE, AFTER) if difference.fact == "raw")
    assert (raw.before, raw.after) == (10, 7)


@pytest.mark.parametrize("lost", [ERROR, None])
def test_an_error_or_a_cell_not_run_is_lost_on_either_side(lost: Record | None) -> None:
    assert set(kinds(BEFORE, lost).values()) == {Kind.LOST}
    assert set(kinds(lost, BEFORE).values()) == {Kind.LOST}


def test_an_unstable_cell_is_no_change() -> None:
    assert set(kinds(BEFORE, UNSTABLE).values()) == {Kind.UNSTABLE}
    assert set(kinds(UNSTABLE, BEFORE).values()) == {Kind.UNSTABLE}


def test_a_cell_that_is_no_longer_supported_has_that_kind() -> None:
    assert set(kinds(BEFORE, UNSUPPORTED).values()) == {Kind.UNSUPPORTED}
    assert set(kinds(UNSUPPORTED, BEFORE).values()) == {Kind.APPEARED}
    assert kinds(UNSUPPORTED, replace(UNSUPPORTED, reason="other words")) == {"": Kind.SAME}


def test_facts_disappear_in_a_crash() -> None:
    assert set(kinds(BEFORE, CRASH).values()) == {Kind.DISAPPEARED}
    assert kinds(UNSUPPORTED, CRASH) == {"": Kind.CHANGED}


@pytest.mark.parametrize(
    ("kind", "change"), [(Kind.SAME, False), (Kind.LOST, False), (Kind.UNSTABLE, False), (Kind.CHANGED, True)]
)
def test_only_different_answers_of_kernels_are_a_change(kind: Kind, change: bool) -> None:
    assert kind.is_change is change


def test_a_fact_that_went_from_true_to_1_has_changed() -> None:
    assert kinds(replace(BEFORE, facts={"x": True}), replace(BEFORE, facts={"x": 1})) == {"x": Kind.CHANGED}


def test_neighbours_skip_cells_that_cannot_be_compared() -> None:
    assert list(neighbours([BEFORE, ERROR, None, UNSTABLE, AFTER, CRASH])) == [
        (0, 4, BEFORE, AFTER),
        (4, 5, AFTER, CRASH),
    ]


@pytest.mark.parametrize(("after", "kind"), [(UNSUPPORTED, Kind.UNSUPPORTED), (CRASH, Kind.DISAPPEARED)])
def test_two_cells_of_which_one_has_no_facts_have_one_difference(after: Record, kind: Kind) -> None:
    assert differences(BEFORE, after) == [Difference("", kind, "answered", after.status.value)]
    assert differences(after, BEFORE) == [Difference("", Kind.APPEARED, after.status.value, "answered")]
    assert [difference.fact for difference in differences(BEFORE, AFTER)] == ["raw", "new", "old"]
    assert differences(BEFORE, ERROR) == []


SPLAT = Splat(SplatKind.WARNING, "WARNING: x", "WARNING: x")
OOPS = Splat(SplatKind.OOPS, "BUG: y", "oops: y", fatal=True)
MARKED = replace(BEFORE, splats=(SPLAT,), facts={**BEFORE.facts, "splats": ["WARNING: x"]})


def test_a_splat_that_only_one_kernel_has_is_a_change_of_a_list() -> None:
    changes = [Difference("splats", Kind.CHANGED, [], ["WARNING: x"])]
    assert differences(BEFORE, MARKED) == changes
    assert differences(MARKED, BEFORE) == [Difference("splats", Kind.CHANGED, ["WARNING: x"], [])]
    assert differences(MARKED, MARKED) == []


def test_two_crashes_differ_if_their_causes_do() -> None:
    one, other = replace(CRASH, splats=(OOPS,)), replace(CRASH, splats=(SPLAT, OOPS))
    assert differences(one, one) == []
    assert differences(one, other) == [
        Difference("splats", Kind.CHANGED, ["oops: y"], ["WARNING: x", "oops: y"])
    ]
