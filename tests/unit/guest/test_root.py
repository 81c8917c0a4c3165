from __future__ import annotations

from pathlib import Path

import pytest

from guest import root
from guest.root import Root


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What programs were started with; none is."""
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(root, "_tool", lambda *words: started.append(words))
    monkeypatch.setattr("guest.observe.kmsg.Log", object)  # the kernel's log is for root
    return started


def test_a_module_that_was_not_loaded_is_loaded_and_reported_as_new(asked: list[tuple[str, ...]]) -> None:
    assert Root().modprobe("no-such-module", "size=1")
    assert asked == [("modprobe", "no-such-module", "size=1")]


def test_a_loaded_module_is_not_loaded_again(asked: list[tuple[str, ...]]) -> None:
    there = next(path.name for path in Path("/sys/module").iterdir())
    assert not Root().modprobe(there)
    assert asked == []
