from __future__ import annotations

import pytest

from matrix.run import executor as crew
from matrix.run.executor import Here


@pytest.fixture
def here() -> Here:
    return Here(2)


def free(monkeypatch: pytest.MonkeyPatch, mebibytes: int, *taken: int) -> None:
    """So much is free, and guests under way have taken so much each."""
    monkeypatch.setattr(crew, "free_memory", lambda: mebibytes << 20)
    monkeypatch.setattr(crew, "children", lambda: range(len(taken)))
    monkeypatch.setattr(crew, "resident", lambda pid: taken[pid] << 20)


def test_no_more_than_its_threads(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 100_000)
    assert [here.room(working, 0, waits=False) for working in range(4)] == [True, True, False, False]


def test_a_further_guest_waits_for_memory_but_one_may_always_run(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 500, 0)
    assert here.room(0, 0, waits=False)
    assert not here.room(1, 0, waits=False)


def test_guests_that_have_just_begun_will_take_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    many = Here(64)
    free(monkeypatch, 2000, 0, 0, 0)
    assert [many.room(working, 0, waits=False) for working in range(5)] == [True, True, True, False, False]
    many.took(100 << 20)
    assert many.room(18, 0, waits=False)
    assert not many.room(19, 0, waits=False)
    free(monkeypatch, 110, *[100] * 40)
    assert many.room(40, 0, waits=False)


def test_what_guests_really_take_is_what_counts_from_then_on(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 100, 80)
    here.took(80 << 20)
    assert here.room(1, 0, waits=False)
    here.took(120 << 20)
    here.took(10 << 20)
    assert not here.room(1, 0, waits=False)


def test_guests_that_only_wait_need_memory_but_no_processor(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 100_000)
    assert here.room(2, 0, waits=True)
    assert here.room(1, 9, waits=False)
    assert not here.room(2, 9, waits=False)
    assert not here.room(0, crew._WAITING, waits=True)
    free(monkeypatch, 500, 0)
    assert not here.room(1, 0, waits=True)
    assert not here.room(0, 1, waits=False)
