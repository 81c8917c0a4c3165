"""All reports of a run, written into its directory."""

from __future__ import annotations

from pathlib import Path

from matrix.analysis.analysis import Analysis
from matrix.report.export.junit import junit
from matrix.report.page.html import html_report
from matrix.report.text.markdown import markdown
from vms.files import write_whole


def write_reports(run: Path, analysis: Analysis) -> Path:
    """Writes `index.html`, `report.md` and `junit.xml` under `report/` and returns the page's
    path.
    """
    report = run / "report"
    write_whole(report / "report.md", markdown(analysis).encode())
    write_whole(report / "junit.xml", junit(analysis))
    write_whole(report / "index.html", html_report(analysis, run).encode())
    return report / "index.html"
