from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from matrix.report.website.pool import Pool, lengths


def test_equal_keys_share_a_place() -> None:
    pool: Pool[str] = Pool()
    assert [pool.place(key, partial(str.upper, key)) for key in ("a", "b", "a")] == [0, 1, 0]
    assert pool.entries == ["A", "B"]


def test_an_entry_that_needs_another_one_of_the_pool_comes_after_it() -> None:
    pool: Pool[str] = Pool()
    assert pool.place("outer", lambda: f"after {pool.place('inner', lambda: 'inner')}") == 1
    assert pool.entries == ["inner", "after 0"]


@given(st.lists(st.integers(-2, 3)))
def test_lengths_hold_what_they_were_made_of(values: list[int]) -> None:
    pairs = lengths(values)
    assert [
        value for value, count in zip(pairs[::2], pairs[1::2], strict=True) for _ in range(count)
    ] == values
