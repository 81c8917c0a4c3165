from __future__ import annotations

from pathlib import Path

from matrix.report.markdown import markdown
from tests.unit.matrix.report.sample import table

GOLDEN = Path(__file__).parent / "golden"


def test_the_report_reads_as_it_should() -> None:
    assert markdown(table()) == (GOLDEN / "report.md").read_text()


def test_nothing_from_a_guest_means_anything_to_markdown_or_html() -> None:
    text = markdown(table())
    assert "<script" not in text
    assert "\x1b" not in text
    assert "`code`" not in text
    row = next(line for line in text.splitlines() if "hostile" in line)
    assert row.replace("\\|", "").count("|") == 6


def test_every_row_has_a_cell_per_kernel() -> None:
    rows = [line for line in markdown(table()).split("## Kernels")[0].splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {6}
