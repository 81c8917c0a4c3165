from __future__ import annotations

from pathlib import Path

import pytest

from matrix.report.text.forecast import forecast_lines
from matrix.report.text.progress import about
from matrix.run.forecast import Forecast

CACHE = Path("/home/ada/.cache/conntrack-matrix")


def test_the_first_run_names_what_it_fetches_and_stores_and_how_long_it_takes() -> None:
    first, second = forecast_lines(Forecast(6, True, 257_000_000, 3_500_000_000, 640.0, 2), CACHE)
    assert first == (
        "to fetch: 257 MB (6 kernels and the packages of the guests' image); to store: about 3.5 GB in"
        " /home/ada/.cache/conntrack-matrix"
    )
    assert second.startswith(
        "to take: at most about 11 minutes with 2 guests at a time, downloads not counted"
    )


def test_a_run_that_fetches_nothing_only_tells_how_long_it_takes() -> None:
    (line,) = forecast_lines(Forecast(0, False, 0, 0, 20.0, 1), CACHE)
    assert line.startswith("to take: at most about 20 seconds with 1 guest at a time")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "10 seconds"), (44, "40 seconds"), (95, "2 minutes"), (3600, "60 minutes"), (9000, "2.5 hours")],
)
def test_an_estimate_has_no_more_digits_than_it_is_worth(seconds: float, text: str) -> None:
    assert about(seconds) == text
