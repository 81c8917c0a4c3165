from __future__ import annotations

from pathlib import Path

from matrix.doctor import examine
from matrix.plan.project import Project
from tests.support.project import CONFIG
from vms.cache import Cache


def test_kernels_that_cannot_be_listed_are_not_the_accelerators_fault(tmp_path: Path) -> None:
    project = Project(tmp_path, CONFIG, Cache(tmp_path / "cache"), offline=True)
    *_, last = examine(project, "auto")
    assert (last.what, last.good) == ("kernels", False)
    assert "package lists" in last.found
    assert last.advice == "no accelerator was tried: that takes a kernel"
