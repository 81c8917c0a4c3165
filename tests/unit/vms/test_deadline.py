from __future__ import annotations

import time

import pytest

from vms.deadline import Deadline


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def test_by_the_clock_of_a_slow_guest_a_deadline_leaves_more_time_that_only_this_clock_uses_up() -> None:
    clock = Clock()
    deadline = Deadline(10, "an answer", clock).on(lambda: clock.now / 2, 3.0)
    assert (deadline.remaining, deadline.seconds, deadline.what) == (30.0, 30.0, "an answer")
    clock.now += 40
    assert deadline.remaining == 10.0
    clock.now += 20
    assert deadline.expired


def test_a_deadline_that_goes_by_the_clock_already_is_not_made_longer_once_more() -> None:
    deadline = Deadline(10, "an answer").on(time.monotonic, 3.0)
    assert deadline.seconds == 10


def test_no_time_is_left_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    deadline = Deadline(1, "an answer", clock)
    clock.now += 5
    assert deadline.remaining == 0.0
    monkeypatch.setattr("vms.deadline.interrupted", lambda: True)
    assert Deadline(10, "an answer", clock).expired
