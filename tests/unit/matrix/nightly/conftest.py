"""A machine for nights whose clock the test sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.house import House, open_house


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return open_house(tmp_path / "results", monkeypatch)
