from __future__ import annotations

import pytest

from matrix.report.words import counted


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 kernels"), (1, "1 kernel"), (2, "2 kernels"), (1_000, "1000 kernels")]
)
def test_one_of_something_is_not_many(number: int, said: str) -> None:
    assert counted(number, "kernel") == said


def test_a_plural_may_be_given() -> None:
    assert (counted(1, "entry", "entries"), counted(2, "entry", "entries")) == ("1 entry", "2 entries")
