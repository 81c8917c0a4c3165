from __future__ import annotations

import pytest

from matrix.run import executor
from matrix.run.executor import LocalExecutor


@pytest.fixture
def local() -> LocalExecutor:
    return LocalExecutor(2)


def free(monkeypatch: pytest.MonkeyPatch, mebibytes: int, *taken: int) -> None:
    """Sets the free memory, and what each running guest uses, in MiB."""
    monkeypatch.setattr(executor, "free_memory", lambda: mebibytes << 20)
    monkeypatch.setattr(executor, "children", lambda: range(len(taken)))
    monkeypatch.setattr(executor, "resident", lambda pid: taken[pid] << 20)


def test_no_more_guests_compute_than_jobs(local: LocalExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 100_000)
    assert [local.room(working, 0, waits=False) for working in range(4)] == [True, True, False, False]


@pytest.mark.fault(phase="boot", fault="memory short", outcome="guests wait for memory; one may always run")
@pytest.mark.fault(phase="cell", fault="memory short", outcome="guests wait for memory; one may always run")
def test_another_guest_waits_for_memory_but_one_may_always_run(
    local: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 500, 0)
    assert local.room(0, 0, waits=False)
    assert not local.room(1, 0, waits=False)


def test_memory_is_reserved_for_guests_that_have_just_started(monkeypatch: pytest.MonkeyPatch) -> None:
    many = LocalExecutor(64)
    free(monkeypatch, 2200, 0, 0, 0)
    assert [many.room(working, 0, waits=False) for working in range(5)] == [True, True, True, False, False]


def test_memory_is_reserved_for_all_that_running_guests_may_still_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 2 GiB free, 18 guests that have used 80 MiB each so far may take nine more."""
    many = LocalExecutor(64)
    many.note_memory(80 << 20)
    free(monkeypatch, 2048, *[80] * 18)
    assert not many.room(18, 0, waits=False)
    free(monkeypatch, 18 * (704 - 80) + 705, *[80] * 18)
    assert many.room(18, 0, waits=False)
    free(monkeypatch, 18 * (704 - 80) + 704, *[80] * 18)
    assert not many.room(18, 0, waits=False)


def test_a_guest_that_took_more_than_expected_is_what_another_may_need(
    local: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 800, 900)
    assert local.room(1, 0, waits=False)
    local.note_memory(900 << 20)
    local.note_memory(10 << 20)
    assert not local.room(1, 0, waits=False)


def test_guests_that_only_wait_need_memory_but_no_processor(
    local: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 100_000)
    assert local.room(2, 0, waits=True)
    assert local.room(1, 9, waits=False)
    assert not local.room(2, 9, waits=False)
    assert not local.room(0, executor._WAITING, waits=True)
    free(monkeypatch, 500, 0)
    assert not local.room(1, 0, waits=True)
    assert not local.room(0, 1, waits=False)
