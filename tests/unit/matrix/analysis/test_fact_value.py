from __future__ import annotations

import pytest

from matrix.analysis.fact_value import Delta, delta, frozen, item_texts
from matrix.results.record import FactValue


def test_equal_values_have_equal_keys_and_true_is_not_one() -> None:
    values: list[FactValue | None] = [None, True, 1, "1", [], ["1"], {}, {"1": 1}, ["1", "1"]]
    assert len(set(map(frozen, values))) == len(values)
    assert frozen({"a": 1, "b": 2}) == frozen({"b": 2, "a": 1})
    assert frozen(["a", "b"]) != frozen(["b", "a"])


def test_a_delta_of_maps_has_what_is_gone_new_and_changed() -> None:
    before: dict[str, int] = {"a": 1, "b": 2, "c": 3}
    found = delta(before, {"b": 2, "c": 4, "d": 5})
    assert (found.gone, found.new, found.changed) == ({"a": 1}, {"d": 5}, {"c": (3, 4)})
    assert item_texts(before, found.before) == ["a 1", "c 3"]


def test_a_delta_of_lists_has_their_items_once_and_their_text_as_often_as_they_are_there() -> None:
    before, after = ["a", "b", "a"], ["c", "b"]
    found = delta(before, after)
    assert (found.gone, found.new, found.changed) == ({"a": True}, {"c": True}, {})
    assert item_texts(before, found.gone) == ["a", "a"]


@pytest.mark.parametrize(("one", "other"), [(1, 2), (None, ["a"]), ("a", ["a"]), (["a", "b"], ["b", "a"])])
def test_other_values_have_no_items_that_differ(one: FactValue | None, other: FactValue | None) -> None:
    assert delta(one, other) == Delta({}, {})
