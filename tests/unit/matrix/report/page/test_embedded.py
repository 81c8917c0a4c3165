from __future__ import annotations

import pytest

from matrix.report.page.embedded import moved
from matrix.results.record import FactValue

LISTED = [f"feature {number}" for number in range(12)]
COUNTED = {f"state {number}": number for number in range(12)}


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (7, 10, "7 → 10"),
        (False, None, "no → absent"),
        (None, "", "absent → empty"),
        (["a"], ["a", "b"], "a → a, b"),
        (LISTED, LISTED[1:], "without feature 0"),
        (LISTED, [*LISTED[1:], "more"], "without feature 0; with more"),
        (COUNTED, COUNTED | {"state 3": 4}, "without state 3 3; with state 3 4"),
        (LISTED, [], f"{', '.join(LISTED)} → none"),
        (LISTED[:1] * 12, ["other"] * 12, f"{', '.join(LISTED[:1] * 12)} → {', '.join(['other'] * 12)}"),
        (LISTED, [*LISTED[1:], LISTED[0]], f"{', '.join(LISTED)} → {', '.join([*LISTED[1:], LISTED[0]])}"),
        (LISTED, "all", f"{', '.join(LISTED)} → all"),
    ],
)
def test_moved_writes_both_values_but_of_long_lists_only_the_difference(
    before: FactValue | None, after: FactValue | None, text: str
) -> None:
    assert moved(before, after) == text
