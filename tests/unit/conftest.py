from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from vms import runtime


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which private directories and temporary files are made."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.setattr(runtime, "_base", lambda: directory)
    runtime.sweep.cache_clear()
    return directory
