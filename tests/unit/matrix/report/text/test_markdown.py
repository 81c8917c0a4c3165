from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from matrix.report.page.html import html_report
from matrix.report.text.markdown import markdown
from tests.support.fakes import SURROUNDINGS
from tests.support.sample import analysis

GOLDEN = Path(__file__).parent / "golden"


def test_the_markdown_report_is_that_of_the_golden_file() -> None:
    assert markdown(analysis()) == (GOLDEN / "report.md").read_text()


def test_text_of_a_guest_is_escaped_in_markdown() -> None:
    text = markdown(analysis())
    assert "<script" not in text
    assert "\x1b" not in text
    assert "`code`" not in text
    row = next(line for line in text.splitlines() if "hostile" in line)
    assert row.replace("\\|", "").count("|") == 6


def test_what_a_kernel_reported_while_it_booted_is_listed() -> None:
    reported = markdown(analysis()).partition("## What kernels reported of themselves")[2]
    assert "- tainted W: the kernel warned (while 6.12.10 booted)" in reported


def test_every_row_has_a_cell_per_kernel() -> None:
    rows = [
        line for line in markdown(analysis()).split("## What changed")[0].splitlines() if line.startswith("|")
    ]
    assert {line.replace("\\|", "").count("|") for line in rows} == {6}


def test_unexplained_changes_are_marked_in_the_list() -> None:
    text = markdown(analysis()).split("## What changed")[1].split("## Kernels")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert rows
    assert all("**unexplained**" in row for row in rows)


def test_without_evidence_nothing_links_to_cells() -> None:
    assert "](../cells/" in markdown(analysis())
    assert "](../cells/" not in markdown(analysis(), evidence=False)


def test_builds_that_are_gone_are_listed_as_left_out() -> None:
    assert "Left out" not in markdown(analysis())
    lacking = analysis(left_out=("6.12.90-1", "6.12.91-<b>1"))
    assert "Left out, because their archive no longer has them: 6.12.90-1, 6.12.91-&lt;b&gt;1." in markdown(
        lacking
    )


def test_a_userland_that_is_the_hosts_is_told_with_its_versions_in_both_reports(tmp_path: Path) -> None:
    found = analysis()
    around = replace(SURROUNDINGS, backend="virtme", image_packages={"nft": "v1.0.6"})
    told = analysis(surroundings=around)
    for report in (markdown(told), html_report(told, tmp_path)):
        said = re.sub(r"\\|&#\d+;", "", report)  # escapes
        assert "hosts, through virtme-ng (nft v1.0.6)" in said.replace("'", "")
    assert "through virtme-ng" not in markdown(found) + html_report(found, tmp_path)
