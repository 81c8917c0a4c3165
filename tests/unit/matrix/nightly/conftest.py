"""A machine for nights whose clock the test sets."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from matrix import invocation
from tests.support.house import House


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    def clock(today: date) -> None:
        at = datetime(today.year, today.month, today.day, 2, tzinfo=UTC)
        monkeypatch.setattr(invocation, "now", lambda: at.isoformat(timespec="seconds"))
        monkeypatch.setattr(
            invocation, "datetime", type("Clock", (), {"now": staticmethod(lambda _zone: at)})
        )

    return House(tmp_path / "results", clock)
