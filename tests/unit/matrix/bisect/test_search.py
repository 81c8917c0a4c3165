"""The search over builds: whatever they answer it ends, never asks twice, and what it ends with is
true.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.bisect.search import Pair, Side, next_builds, pairs, steps_left

OLD, NEW, UNKNOWN = Side.OLD, Side.NEW, Side.UNKNOWN
middles = st.lists(st.sampled_from(Side), max_size=80)
widths = st.integers(1, 6)


def search(
    truth: list[Side], at_once: int, known: dict[int, Side] | None = None
) -> tuple[dict[int, Side], list[tuple[int, ...]]]:
    """What is known at the end, and the builds of each step."""
    known = dict(known or {})
    steps = []
    while ask := next_builds(len(truth), known, at_once):
        assert len(set(ask)) == len(ask) <= max(at_once, 2)
        assert not known.keys() & set(ask), "a build was asked twice"
        known |= {build: truth[build] for build in ask}
        steps.append(ask)
        assert len(steps) <= len(truth), "it does not end"
    return known, steps


@given(st.lists(st.sampled_from(Side), min_size=1, max_size=80), widths)
def test_it_ends_whatever_the_builds_answer(truth: list[Side], at_once: int) -> None:
    known, steps = search(truth, at_once)
    assert {build: truth[build] for build in known} == known
    assert steps[0] == tuple(dict.fromkeys((0, len(truth) - 1)))


@given(middles, widths)
def test_a_pair_is_found_and_between_its_builds_is_only_what_is_unknown(
    middle: list[Side], at_once: int
) -> None:
    truth = [OLD, *middle, NEW]
    found = pairs(search(truth, at_once)[0])
    assert found
    for pair in found:
        assert {truth[pair.left], truth[pair.right]} == {OLD, NEW}
        assert pair.unknown == tuple(range(pair.left + 1, pair.right))
        assert {truth[build] for build in pair.unknown} <= {UNKNOWN}


@given(middles, widths)
def test_the_pairs_lead_from_old_to_new_and_follow_each_other(middle: list[Side], at_once: int) -> None:
    truth = [OLD, *middle, NEW]
    found = pairs(search(truth, at_once)[0])
    assert [truth[pair.left] for pair in found] == [(OLD, NEW)[place % 2] for place in range(len(found))]
    assert len(found) % 2 == 1
    assert all(one.right <= other.left for one, other in pairwise(found))


@given(st.integers(1, 80), st.integers(1, 80))
def test_one_change_is_found_in_as_many_steps_as_halving_takes_and_a_few_looks(old: int, new: int) -> None:
    truth = [OLD] * old + [NEW] * new
    known, steps = search(truth, 1)
    assert pairs(known) == (Pair(old - 1, old, ()),)
    assert len(steps) <= 1 + ceil(log2(len(truth))) + 4
    assert len(steps) == len(known) - 1  # of the ends, both in the first


@given(st.integers(1, 80), st.integers(1, 80), widths)
def test_a_wider_step_never_takes_more_steps(old: int, new: int, at_once: int) -> None:
    truth = [OLD] * old + [NEW] * new
    assert len(search(truth, at_once + 1)[1]) <= len(search(truth, 1)[1])


@given(st.integers(1, 9), st.integers(10, 30), st.integers(10, 30), st.integers(1, 9), widths)
def test_a_change_there_and_back_is_seen_if_both_parts_are_more_than_a_quarter(
    old: int, new: int, again: int, last: int, at_once: int
) -> None:
    truth = [OLD] * old + [NEW] * new + [OLD] * again + [NEW] * last
    if min(new, again) > len(truth) // 4:
        there, back, end = old, old + new, old + new + again
        known = search(truth, at_once)[0]
        assert pairs(known) == (Pair(there - 1, there, ()), Pair(back - 1, back, ()), Pair(end - 1, end, ()))


@given(middles, widths, st.data())
def test_what_is_known_already_is_taken_and_the_end_is_as_true(
    middle: list[Side], at_once: int, data: st.DataObject
) -> None:
    truth = [OLD, *middle, NEW]
    recorded = data.draw(st.sets(st.integers(0, len(truth) - 1)))
    known, steps = search(truth, at_once, {build: truth[build] for build in recorded})
    assert not {build for step in steps for build in step} & recorded
    for pair in pairs(known):
        assert pair.unknown == tuple(range(pair.left + 1, pair.right))


@given(middles, widths, st.data())
def test_steps_left_is_what_follows_if_builds_answer_like_the_one_before(
    middle: list[Side], at_once: int, data: st.DataObject
) -> None:
    truth = [OLD, *middle, NEW]
    done = data.draw(st.integers(0, len(search(truth, at_once)[1])))
    known: dict[int, Side] = {}
    for _ in range(done):
        known |= {build: truth[build] for build in next_builds(len(truth), known, at_once)}
    left = steps_left(len(truth), known, at_once)
    assert (left == 0) == (next_builds(len(truth), known, at_once) == ())
    supposed = dict(known)
    for _ in range(left):
        for build in next_builds(len(truth), supposed, at_once):
            before = [other for other in known if other < build and known[other] is not UNKNOWN]
            supposed[build] = known[max(before)] if before else NEW if build else OLD
    assert next_builds(len(truth), supposed, at_once) == ()


@pytest.mark.parametrize(
    ("known", "at_once", "asked"),
    [
        ({}, 1, (0, 9)),
        ({0: OLD}, 1, (9,)),
        ({0: OLD, 9: NEW}, 1, (5,)),
        ({0: OLD, 9: NEW}, 2, (3, 6)),
        ({0: OLD, 9: NEW}, 3, (3, 5, 7)),
        ({0: OLD, 5: UNKNOWN, 9: NEW}, 1, (4,)),
        ({0: OLD, 4: OLD, 5: NEW, 9: NEW}, 2, (2, 7)),
        ({0: OLD, 9: UNKNOWN}, 2, ()),
        ({0: OLD, 9: OLD}, 1, (5,)),
    ],
)
def test_the_next_builds(known: dict[int, Side], at_once: int, asked: tuple[int, ...]) -> None:
    assert next_builds(10, known, at_once) == asked


def test_unknown_builds_between_a_pair_are_named() -> None:
    truth = [OLD, OLD, UNKNOWN, UNKNOWN, NEW, NEW]
    assert pairs(search(truth, 2)[0]) == (Pair(1, 4, (2, 3)),)
