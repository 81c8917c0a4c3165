from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from matrix.run.jobs import Job, KernelState, Ready
from matrix.run.progress import KernelProgress, Phase
from tests.support.fakes import make_kernel

STATE = KernelState(make_kernel("6.1.2"), KernelProgress("6.1.2", 1), [])


def job(seconds: float, *, waits: bool = False) -> Job:
    return Job(STATE, Phase.RUNNING, ignore, print, (), seconds, waits)


def ignore(_future: Future[Any]) -> None:
    pass


def always(_computing: int, _waiting: int, *, waits: bool) -> bool:
    return True


def test_jobs_that_wait_go_first_and_then_the_longest() -> None:
    ready = Ready()
    for each in (job(1), job(3), job(2, waits=True), job(9)):
        ready.push(each)
    taken = []
    while one := ready.pop_if(always):
        taken.append((one.waits, one.seconds))
    assert taken == [(True, 2), (False, 9), (False, 3), (False, 1)]
    assert not ready


def test_jobs_of_equal_length_keep_their_order() -> None:
    ready = Ready()
    jobs = [job(1) for _ in range(5)]
    for each in jobs:
        ready.push(each)
    assert [ready.pop_if(always) for _ in jobs] == jobs


@pytest.mark.parametrize("kind", [True, False])
def test_a_job_stays_until_there_is_room_for_its_kind(kind: bool) -> None:
    def room_for_the_other_kind(_computing: int, _waiting: int, *, waits: bool) -> bool:
        return waits is not kind

    ready = Ready()
    ready.push(job(1, waits=kind))
    assert ready.pop_if(room_for_the_other_kind) is None
    assert ready
    assert ready.pop_if(always)


def test_running_jobs_are_counted_by_kind_until_they_end() -> None:
    ready = Ready()
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
