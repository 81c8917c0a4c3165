from __future__ import annotations

import pytest

from matrix import crew
from matrix.crew import Here


@pytest.fixture
def here() -> Here:
    return Here(2)


def free(monkeypatch: pytest.MonkeyPatch, mebibytes: int) -> None:
    monkeypatch.setattr(crew, "free_memory", lambda: mebibytes << 20)


def test_no_more_than_its_threads(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 100_000)
    assert [here.room(working) for working in range(4)] == [True, True, False, False]


def test_a_further_guest_waits_for_memory_but_one_may_always_run(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 500)
    assert here.room(0)
    assert not here.room(1)


def test_what_guests_really_take_is_what_counts_from_then_on(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 100)
    here.took(80 << 20)
    assert here.room(1)
    here.took(120 << 20)
    here.took(10 << 20)
    assert not here.room(1)
