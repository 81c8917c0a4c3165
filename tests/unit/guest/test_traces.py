from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from guest import traces


@pytest.mark.parametrize(
    ("flags", "found"), [(0, "3 files, 7 blocks"), (os.ST_RDONLY, None)], ids=["writable", "read-only"]
)
def test_a_read_only_file_system_is_not_looked_at_since_others_may_write_to_it(
    monkeypatch: pytest.MonkeyPatch, flags: int, found: str | None
) -> None:
    usage = SimpleNamespace(f_files=10, f_ffree=7, f_blocks=20, f_bfree=13, f_flag=flags)
    monkeypatch.setattr(os, "statvfs", lambda _path: usage)
    assert traces._filled("/") == found
