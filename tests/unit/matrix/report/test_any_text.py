"""Whatever text a guest says, every writer's output can be read."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import yaml  # type: ignore[import-untyped]
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from sqlalchemy import create_engine, event

from guest.catalogue import Experiment
from matrix.analysis.analysis import Analysis, analyse
from matrix.history.database import writing
from matrix.history.models import Base
from matrix.history.query import timeline
from matrix.history.record import record
from matrix.report.export.junit import junit
from matrix.report.export.tables import COLUMNS, as_csv
from matrix.report.export.tap import tap
from matrix.report.page.html import html_report
from matrix.report.text.markdown import markdown
from matrix.report.text.terminal import print_result
from matrix.results.directory import cell_path
from matrix.results.record import Record, Status, shown_value
from tests.support import sample
from tests.support.fakes import make_experiment

KERNELS = sample.KERNELS[:2]
CATALOGUE: dict[str, Experiment] = {
    "any": make_experiment("any", {"word": str, "words": list, "counts": dict})
}
TEXTS = st.text(max_size=300) | st.text("\0\x1b\x85\u2028\ufffe\uffff|`<>&\"'#@,;=\r\n\t -", max_size=40)


def run_with(text: str) -> Analysis:
    records = [
        Record(
            kernel,
            "any",
            {},
            status,
            {"word": text, "words": [text, "x"], "counts": {text: 1}},
            text,
            evidence=("conntrack.txt",),
        )
        for kernel, status in zip(KERNELS, (Status.UNSUPPORTED, Status.FAIL), strict=True)
    ]
    manifest = sample.manifest()
    kept = tuple(entry for entry in manifest.kernels if entry.name in KERNELS)
    fields = {**{name: getattr(manifest, name) for name in manifest.__dataclass_fields__}, "kernels": kept}
    return analyse(type(manifest)(**fields), records, CATALOGUE, sample.EMPTY)


def read_xml(analysis: Analysis) -> None:
    root = ElementTree.fromstring(junit(analysis))
    assert [case.get("name") for case in root.iter("testcase")] == ["any", "any"]


def read_tap(analysis: Analysis) -> None:
    lines = tap(analysis.records).splitlines()
    assert lines[:2] == ["TAP version 14", "1..2"]
    assert [line[:8] for line in lines[2:] if not line.startswith("  ")] == ["ok 1 - a", "not ok 2"]
    blocks = re.findall(r"  ---\n(.*?)\n  \.\.\.\n", "\n".join(lines) + "\n", re.DOTALL)
    for block, one in zip(blocks, analysis.records, strict=True):
        read = yaml.safe_load(block)
        assert read["facts"]["word"] == shown_value(one.facts["word"], 400)
        assert set(read) <= {"status", "duration_ms", "message", "facts"}


def read_csv(analysis: Analysis) -> None:
    rows = list(csv.reader(io.StringIO(as_csv(analysis.table.manifest, analysis.records)), strict=True))
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert len(rows) == 1 + 2 * 3


def read_markdown(analysis: Analysis) -> None:
    whole = markdown(analysis)
    for table in re.findall(r"(?:^\|.*\|\n)+", whole, re.MULTILINE):
        assert len({re.sub(r"\\.", "", line).count("|") for line in table.splitlines()}) == 1
    # No address, mention or reference that becomes a link by itself, nor one with markup.
    text = re.sub(r"\]\([^)]*\)", "", whole)
    assert not re.search(r"://|\bwww\.|@\w|(?<!&)[#!]\d|!\[|<(?!br>|/?details|/?summary)", text)
    assert len(whole.splitlines()) == whole.count("\n")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts: dict[str, str] = {}
        self._id = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._id = (dict(attrs).get("id") or "") if tag == "script" else ""

    def handle_data(self, data: str) -> None:
        if self._id:
            self.scripts[self._id] = self.scripts.get(self._id, "") + data


def read_html(analysis: Analysis, run: Path, text: str) -> None:
    for one in analysis.records:
        place = cell_path(run, one)
        place.mkdir(parents=True, exist_ok=True)
        (place / "conntrack.txt").write_text(text, "utf-8", "replace")
    page = _Page()
    page.feed(html_report(analysis, run))
    assert json.loads(page.scripts["data"])["rows"]
    packed = [text for name, text in page.scripts.items() if name.startswith("evidence-")]
    assert packed
    for blob in packed:
        json.loads(gzip.decompress(base64.b64decode(blob)))


def read_database(analysis: Analysis) -> None:
    engine = create_engine("sqlite://")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=on"))
    with writing(engine) as connection:
        Base.metadata.create_all(connection)
    record(engine, "here", analysis.table.manifest, analysis.records)
    words = {one.kernel: one.facts["word"] for one in analysis.records}
    assert {line.spans[0].value for line in timeline(engine, "word")} == set(words.values())
    engine.dispose()


def read_terminal(analysis: Analysis) -> None:
    console = Console(file=io.StringIO(), width=10_000, color_system=None)
    print_result(analysis, Path("page"), console)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert not set(printed) & {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e"} - {"\n", "\t"}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(TEXTS)
@example("not supported\uffff")
@example("not supported\0")
@example("![](https://evil.example/x.png) [log in](https://evil.example) www.evil.example @octocat #12 !3")
@example('\u0160🙂"' * 1_000)
@example("\ud800\r\n  ...\nnot ok 9\n```\n</script><!--]]>")
def test_any_text_leaves_every_writers_output_readable(tmp_path: Path, text: str) -> None:
    analysis = run_with(text)
    read_xml(analysis)
    read_tap(analysis)
    read_csv(analysis)
    read_markdown(analysis)
    read_html(analysis, tmp_path, text)
    read_database(analysis)
    read_terminal(analysis)
