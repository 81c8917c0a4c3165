"""docs/reliability.md is what the tests say, and a marker that says too little is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.elsewhere import ELSEWHERE
from tests.support.project import ROOT
from tests.support.reliability import PAGE, find_faults, page


def written(directory: Path, marker: str) -> Path:
    (directory / "test_it.py").write_text(
        f"import pytest\n\n@pytest.mark.fault({marker})\ndef test_it():\n    pass\n"
    )
    return directory


def test_the_page_of_faults_is_what_the_tests_say() -> None:
    assert PAGE.read_text() == page(find_faults(ROOT / "tests")), (
        "run .venv/bin/python -m tests.support.reliability"
    )


def test_each_fault_says_why_it_is_not_tried_in_the_other_phases() -> None:
    assert {fault.fault for fault in find_faults(ROOT / "tests")} == ELSEWHERE.keys()


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('phase="lunch", fault="disk full", outcome="one message"', "test_it.py:3: 'lunch' is no phase"),
        ('phase="cell", fault="disk full"', r"test_it.py:3: write fault\(phase=..., fault=..., outcome="),
        ('"cell", "disk full", "one message"', r"test_it.py:3: write fault\(phase=..., fault=..., outcome="),
    ],
)
def test_a_marker_that_cannot_be_a_row_is_refused(tmp_path: Path, marker: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_faults(written(tmp_path, marker))
