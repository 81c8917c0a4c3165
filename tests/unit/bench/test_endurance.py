"""Whether cells cost more the longer a guest answers is seen in the figures."""

from __future__ import annotations

from bench.endurance import figures


def test_the_last_cells_are_compared_with_the_first() -> None:
    found = {figure.key: figure for figure in figures([80.0, 90.0, 160.0], [100.0, 130.0], 2, 1)}
    assert (found["last_ms"].value, found["last_ms"].floor) == (160.0, 80.0)
    assert list(found["last_ms"].series) == [80.0, 90.0, 160.0]
    assert (found["guest_memory"].value, found["guest_memory"].floor) == (130.0, 100.0)
    assert (found["guests"].value, found["left"].value) == (2, 1)
