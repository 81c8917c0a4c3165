from __future__ import annotations

import threading

from matrix.run.idle import Idle


class Guest:
    def __init__(self) -> None:
        self.ended = threading.Event()

    def end(self) -> None:
        self.ended.set()


def test_a_guest_is_taken_by_its_template_and_only_once() -> None:
    idle: Idle[Guest] = Idle()
    one, other, third = Guest(), Guest(), Guest()
    idle.put("6.1", one)
    idle.put("6.12", other)
    idle.put("6.12", third)
    assert idle.of("6.12")
    assert idle.take("6.12") is third
    assert idle.take("6.12") is other
    assert idle.take("6.12") is None
    assert not idle.of("6.12")
    assert len(idle) == 1
    idle.end_all()
    assert one.ended.is_set()
    assert not other.ended.is_set()


def test_the_guest_that_waited_longest_is_ended_first() -> None:
    idle: Idle[Guest] = Idle()
    one, other = Guest(), Guest()
    idle.put("6.1", one)
    idle.put("6.1", other)
    assert idle.end_one()
    assert (one.ended.is_set(), other.ended.is_set()) == (True, False)
    assert idle.end_one()
    assert not idle.end_one()


def test_a_guest_that_nobody_takes_is_ended() -> None:
    idle: Idle[Guest] = Idle(seconds=0.0)
    for _ in range(2):
        guest = Guest()
        idle.put("6.1", guest)
        assert guest.ended.wait(60)
    assert len(idle) == 0
