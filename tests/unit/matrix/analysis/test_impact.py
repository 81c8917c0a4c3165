"""Changes as they were seen between real kernels, and what they affect."""

from __future__ import annotations

import pytest

from matrix.analysis.impact import Impact, impact_of
from matrix.results.record import FactValue


@pytest.mark.parametrize(
    ("fact", "before", "after", "expected"),
    [
        ("payload", "changed", "lost", Impact.TRAFFIC),
        ("forwarded", {"udp": 2, "tcp": 2}, {"udp": 2, "tcp": 1}, Impact.TRAFFIC),
        ("drop", {"udp": 0, "tcp": 0}, {"udp": 0, "tcp": 1}, Impact.TRAFFIC),
        ("insert_failed", "none", "some", Impact.TRAFFIC),
        ("insert_failed", "some", "none", Impact.OTHER),
        ("write_256", "ok", "EINVAL", Impact.CONFIGURATION),
        ("write", {"0": 1, "1": 1}, {"0": 0, "1": 1}, Impact.CONFIGURATION),
        ("default", 0, "absent", Impact.CONFIGURATION),
        ("accepted", ["dscp", "mss"], ["mss"], Impact.CONFIGURATION),
        ("accepted", ["mss"], ["dscp", "mss"], Impact.FEATURES),
        ("knob", "ENOENT", "ok", Impact.FEATURES),
        ("segment", "INVALID", "ESTABLISHED", Impact.CLASSIFICATION),
        ("fifth", "lost", "forwarded", Impact.CLASSIFICATION),
        ("invalid", ["137", "151"], ["137"], Impact.CLASSIFICATION),
        ("lifetime", "10 s", "300 s", Impact.LIFETIME),
        ("state", "LAST_ACK", "CLOSE", Impact.LIFETIME),
        ("spread", ["none: all"], ["none: first"], Impact.OTHER),
        ("stamped", False, True, Impact.OTHER),
        ("new", None, 3, Impact.OTHER),
    ],
)
def test_the_values_of_a_change_decide_its_impact(
    fact: str, before: FactValue | None, after: FactValue | None, expected: Impact
) -> None:
    assert impact_of(fact, "", before, after) is expected


def test_the_meaning_of_a_fact_decides_where_its_values_do_not() -> None:
    assert (
        impact_of(
            "dmesg", "what the kernel logged, each line once", ["table full"], ["table full in netns N"]
        )
        is Impact.OBSERVABILITY
    )
