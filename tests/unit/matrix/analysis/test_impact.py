"""Changes as they were seen between real kernels, and what they bear on."""

from __future__ import annotations

import pytest

from matrix.analysis.impact import Bearing, bearing
from matrix.results.record import FactValue


@pytest.mark.parametrize(
    ("fact", "before", "after", "bears_on"),
    [
        ("payload", "changed", "lost", Bearing.STOPS),
        ("forwarded", {"udp": 2, "tcp": 2}, {"udp": 2, "tcp": 1}, Bearing.STOPS),
        ("drop", {"udp": 0, "tcp": 0}, {"udp": 0, "tcp": 1}, Bearing.STOPS),
        ("insert_failed", "none", "some", Bearing.STOPS),
        ("insert_failed", "some", "none", Bearing.OTHERWISE),
        ("write_256", "ok", "EINVAL", Bearing.REFUSED),
        ("write", {"0": 1, "1": 1}, {"0": 0, "1": 1}, Bearing.REFUSED),
        ("default", 0, "absent", Bearing.REFUSED),
        ("accepted", ["dscp", "mss"], ["mss"], Bearing.REFUSED),
        ("accepted", ["mss"], ["dscp", "mss"], Bearing.OFFERS),
        ("knob", "ENOENT", "ok", Bearing.OFFERS),
        ("segment", "INVALID", "ESTABLISHED", Bearing.JUDGED),
        ("fifth", "lost", "forwarded", Bearing.JUDGED),
        ("invalid", ["137", "151"], ["137"], Bearing.JUDGED),
        ("lifetime", "10 s", "300 s", Bearing.LIVES),
        ("state", "LAST_ACK", "CLOSE", Bearing.LIVES),
        ("spread", ["none: all"], ["none: first"], Bearing.OTHERWISE),
        ("stamped", False, True, Bearing.OTHERWISE),
        ("new", None, 3, Bearing.OTHERWISE),
    ],
)
def test_the_values_tell_what_a_change_bears_on(
    fact: str, before: FactValue | None, after: FactValue | None, bears_on: Bearing
) -> None:
    assert bearing(fact, "", before, after) is bears_on


def test_what_the_fact_is_about_tells_the_rest() -> None:
    assert (
        bearing("dmesg", "what the kernel logged, each line once", ["table full"], ["table full in netns N"])
        is Bearing.TELLS
    )
