"""All reports of a run, written into its directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from guest.catalogue import Experiment
from matrix.analysis.ledger.read import read_ledger
from matrix.analysis.table import make_table
from matrix.report.export.junit import junit
from matrix.report.page.html import html_report
from matrix.report.text.markdown import markdown
from matrix.results.manifest import Manifest
from matrix.results.record import Record
from vms.files import write_whole


def write_reports(
    run: Path, manifest: Manifest, records: Sequence[Record], catalogue: Mapping[str, Experiment]
) -> Path:
    """Writes `index.html`, `report.md` and `junit.xml` under `report/` and gives the page's
    path.
    """
    report = run / "report"
    table = make_table(manifest, records, catalogue)
    ledger = read_ledger()
    write_whole(report / "report.md", markdown(table, ledger).encode())
    write_whole(report / "junit.xml", junit(manifest, records))
    write_whole(report / "index.html", html_report(table, catalogue, ledger, run).encode())
    return report / "index.html"
