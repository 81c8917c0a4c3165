"""A run on a disk that is full, whatever it writes then, is completed once there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.disks import ALLOWED, on_a_disk_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ALLOWED, reason="this host allows no user namespaces, so nothing can be mounted"),
]


@pytest.mark.fault(
    phase="results",
    fault="disk full",
    outcome="one message; with room the run is completed",
)
@pytest.mark.parametrize(
    ("room", "written"),
    [
        ("nr_inodes=3", "manifest.json"),
        ("size=8k", "a cell of the run"),
        ("nr_inodes=8", "a cell of the run"),
        ("nr_inodes=20", "results.json"),
        ("size=96k", "report/index.html"),
    ],
)
def test_a_full_disk_while_writing_results_is_reported_and_the_run_is_completed_with_room(
    tmp_path: Path, room: str, written: str
) -> None:
    full, _, then = on_a_disk_of(room, "run", tmp_path / "disk")
    assert full.startswith("HostError: 3: error: writing ")
    assert written in full
    assert "no space left on the disk; free some, for example with `./invoke prune`" in full
    assert then == "made"


@pytest.mark.fault(phase="history", fault="disk full", outcome="the run is kept, and it is said")
def test_a_full_disk_while_recording_a_run_is_reported(tmp_path: Path) -> None:
    full, _, then = on_a_disk_of("size=192k", "run", tmp_path / "disk")
    assert "is not in the history" in full
    assert "database or disk is full" in full or "disk I/O error" in full  # by what SQLite wrote last
    assert then == "made"
