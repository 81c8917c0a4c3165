from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from matrix.report.website.slug import slug


def test_names_of_kernels_and_experiments_are_their_own_addresses() -> None:
    for name in ("6.12.118", "7.3~rc7", "6.1.90+rt", "table-full", "ct_state"):
        assert slug(name) == name


@given(st.text(max_size=200))
def test_any_name_becomes_one_part_of_an_address(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,99}", slug(name))


def test_names_that_look_alike_once_cleaned_are_told_apart() -> None:
    assert len({slug("a/b"), slug("a b"), slug("a:b"), slug("a-b")}) == 4
