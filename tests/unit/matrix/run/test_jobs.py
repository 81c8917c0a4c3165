from __future__ import annotations

import heapq
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.run.jobs import Job, KernelState, Ready
from matrix.run.order import Place, Wave
from matrix.run.progress import KernelProgress, Phase
from tests.support.fakes import make_kernel

STATE = KernelState(make_kernel("6.1.2"), KernelProgress("6.1.2", 1), [])


def job(seconds: float, wave: Wave = Wave.REST, *, waits: bool = False) -> Job:
    return Job(STATE, Phase.RUNNING, ignore, print, (), Place(wave, seconds), seconds, waits)


def ignore(_future: Future[Any]) -> None:
    pass


def always(_computing: int, _waiting: int, *, waits: bool) -> bool:
    return True


def all_of(ready: Ready) -> list[Job]:
    return list(iter(lambda: ready.pop_if(always), None))


def test_jobs_that_wait_go_first_and_the_longest_of_them_at_once() -> None:
    ready = Ready(2)
    for each in (job(1), job(2, waits=True), job(9, waits=True)):
        ready.push(each)
    assert [(one.waits, one.seconds) for one in all_of(ready)] == [(True, 9), (True, 2), (False, 1)]
    assert not ready


def test_short_jobs_go_first_until_the_longest_would_end_after_all_others() -> None:
    ready = Ready(2)
    for seconds in (10, *[1] * 20):
        ready.push(job(seconds))
    # Two at a time: the other processor still has 12 s to do, as the margin is a quarter.
    assert [one.seconds for one in all_of(ready)].index(10) == 8


def test_a_long_job_waits_while_others_are_to_come() -> None:
    ready = Ready(2)
    ready.announce(40)
    for seconds in (10, 1, 1):
        ready.push(job(seconds))
    first = ready.pop_if(always)
    assert first
    assert first.seconds == 1
    ready.announce(-28)
    then = ready.pop_if(always)
    assert then
    assert then.seconds == 10


def test_jobs_of_an_earlier_wave_go_first_whatever_their_length_and_whether_they_wait() -> None:
    ready = Ready(2)
    for each in (job(9, waits=True), job(99), job(1, Wave.FIRST), job(5, Wave.SAMPLE), job(0, Wave.BOOTS)):
        ready.push(each)
    assert [one.seconds for one in all_of(ready)] == [0, 5, 1, 9, 99]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(Wave), st.booleans()), max_size=40),
    st.integers(1, 4),
)
def test_every_job_is_taken_once_and_none_before_a_job_of_an_earlier_wave(
    kinds: list[tuple[int, Wave, bool]], at_a_time: int
) -> None:
    def room(computing: int, _waiting: int, *, waits: bool) -> bool:
        return waits or computing < at_a_time

    ready = Ready(at_a_time)
    jobs = [job(seconds, wave, waits=waits) for seconds, wave, waits in kinds]
    for each in jobs:
        ready.push(each)
    taken: list[Job] = []
    while ready:
        one = ready.pop_if(room)
        if one is None:
            ready.ended(next(other for other in taken if not other.waits))
            continue
        taken.append(one)
    assert sorted(map(id, taken)) == sorted(map(id, jobs))
    compute = [one.place.wave for one in taken if not one.waits]
    assert compute == sorted(compute)


@given(st.lists(st.floats(0.1, 60), min_size=1, max_size=60), st.integers(1, 8))
def test_a_run_ends_little_later_than_if_the_longest_job_always_went_first(
    lengths: list[float], at_a_time: int
) -> None:
    ready = Ready(at_a_time)
    for seconds in lengths:
        ready.push(job(seconds))
    running: list[tuple[float, int, Job]] = []
    clock = 0.0
    while ready or running:
        one = ready.pop_if(lambda computing, _waiting, *, waits: computing < at_a_time)
        if one:
            heapq.heappush(running, (clock + one.seconds, id(one), one))
        else:
            clock, _, ended = heapq.heappop(running)
            ready.ended(ended)
    free = [0.0] * at_a_time
    for seconds in sorted(lengths, reverse=True):
        heapq.heapreplace(free, free[0] + seconds)
    assert clock <= 4 / 3 * max(free) + 0.01


def test_jobs_of_equal_length_keep_their_order() -> None:
    ready = Ready(2)
    jobs = [job(1) for _ in range(5)]
    for each in jobs:
        ready.push(each)
    assert [ready.pop_if(always) for _ in jobs] == jobs


@pytest.mark.parametrize("kind", [True, False])
def test_a_job_stays_until_there_is_room_for_its_kind(kind: bool) -> None:
    def room_for_the_other_kind(_computing: int, _waiting: int, *, waits: bool) -> bool:
        return waits is not kind

    ready = Ready(2)
    ready.push(job(1, waits=kind))
    assert ready.pop_if(room_for_the_other_kind) is None
    assert ready
    assert ready.pop_if(always)


def test_running_jobs_are_counted_by_kind_until_they_end() -> None:
    ready = Ready(2)
    seen: list[tuple[int, int]] = []

    def room(computing: int, waiting: int, *, waits: bool) -> bool:
        seen.append((computing, waiting))
        return True

    for each in (job(1), job(2), job(3, waits=True)):
        ready.push(each)
    taken = [ready.pop_if(room) for _ in range(3)]
    assert seen == [(0, 0), (0, 1), (1, 1)]
    assert (ready.computing, ready.waiting) == (2, 1)
    for one in taken:
        assert one
        ready.ended(one)
    assert (ready.computing, ready.waiting) == (0, 0)
