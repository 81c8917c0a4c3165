"""TAP, CSV and Parquet of one run, an ordinary and a hostile one."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pyarrow.parquet
import pytest

from matrix.report.export.export import export
from matrix.report.export.tables import COLUMNS, as_csv, write_parquet
from matrix.report.export.tap import tap
from matrix.results.manifest import KernelEntry, Manifest, Surroundings
from matrix.results.record import FactValue, Record, Status
from vms.errors import UsageError
from vms.splats import Kind, Splat
from vms.text import shown

KERNEL = KernelEntry("6.1.5", "debian:6.1.5", "6.1", "6.1.5", "cloud", "6.1.5-1", "bookworm")
SURROUNDINGS = Surroundings("a", "b", "7.2", "tcg", "", "")
STARTED, FINISHED = "2026-11-01T02:00:00+00:00", "2026-11-01T03:00:00+00:00"
MANIFEST = Manifest(
    "20261101-020000", "plan", STARTED, (), 1, ("table-full",), (KERNEL,), SURROUNDINGS, FINISHED
)
HOSTILE = "\x1b[31m\n  ...\nnot ok 99 - # SKIP \x00<script>alert(1)</script>\r\n=cmd()" + "A" * 100_000


def cell(status: Status, reason: str = "", **facts: FactValue) -> Record:
    return Record("6.1.5", "table-full", {"scope": "root"}, status, dict(facts), reason, 0.41)


def test_tap_has_a_point_per_cell_with_its_status() -> None:
    points = [
        line
        for line in tap([cell(status, "why # not") for status in Status]).splitlines()
        if not line.startswith("  ")
    ]
    name = "table-full scope=root on 6.1.5"
    assert points == [
        "TAP version 14",
        "1..7",
        f"ok 1 - {name}",
        f"not ok 2 - {name}",
        f"ok 3 - {name} # SKIP unsupported: why \\# not",
        f"not ok 4 - {name} # TODO unstable: why \\# not",
        f"not ok 5 - {name}",
        f"not ok 6 - {name}",
        f"not ok 7 - {name}",
    ]


def test_tap_shows_facts() -> None:
    assert '  facts:\n    "flows": 7\n    "states": {"SYN_SENT": 7}\n  ...\n' in tap(
        [cell(Status.PASS, flows=7, states={"SYN_SENT": 7})]
    )


def test_text_of_a_guest_cannot_add_a_tap_line() -> None:
    text = tap([cell(Status.UNSUPPORTED, HOSTILE, word=HOSTILE, words=[HOSTILE], counts={HOSTILE: 1})])
    assert [line.split()[0] for line in text.splitlines()] == [
        "TAP",
        "1..1",
        "ok",
        "---",
        "status:",
        "duration_ms:",
        "message:",
        "facts:",
        '"word":',
        '"words":',
        '"counts":',
        "...",
    ]
    assert "\x1b" not in text
    assert len(text) < 10_000


def rows(records: list[Record]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(MANIFEST, records))))


def test_csv_has_a_line_per_fact_and_one_for_a_cell_without() -> None:
    found = rows(
        [cell(Status.PASS, flows=7, full=True, states=["a", "b"]), cell(Status.UNSUPPORTED, "no tun")]
    )
    assert [(row["fact"], row["value"], row["number"], row["status"], row["reason"]) for row in found] == [
        ("flows", "7", "7.0", "pass", ""),
        ("full", "true", "1.0", "pass", ""),
        ("states", '["a", "b"]', "", "pass", ""),
        ("", "", "", "unsupported", "no tun"),
    ]
    assert (found[0]["kernel"], found[0]["version"], found[0]["variant"], found[0]["seconds"]) == (
        "6.1.5",
        "6.1.5-1",
        "scope=root",
        "0.41",
    )


@pytest.mark.parametrize("start", ["=1+1", "+1+1", "-1+1", "@SUM(A1)"])
def test_no_csv_field_is_a_formula(start: str) -> None:
    (row,) = rows([cell(Status.PASS, start, word=start)])
    assert row["reason"] == f"'{start}"
    assert row["value"] == f'"{start}"'
    assert rows([cell(Status.PASS, count=-1)])[0]["value"] == "-1"


def test_parquet_holds_what_csv_holds_and_the_manifest(tmp_path: Path) -> None:
    records = [cell(Status.PASS, flows=7, big=2**64 - 1, word=HOSTILE), cell(Status.UNSUPPORTED, "no tun")]
    write_parquet(MANIFEST, records, tmp_path / "facts.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "facts.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert [None if value is None else json.loads(value) for value in table["value"].to_pylist()] == [
        7,
        2**64 - 1,
        shown(HOSTILE, 4_000),
        None,
    ]
    assert table["number"].to_pylist()[0] == 7.0
    assert table["kernel"].to_pylist() == ["6.1.5"] * 4
    assert msgspec.json.decode(table.schema.metadata[b"manifest"], type=Manifest) == MANIFEST


def test_parquet_of_a_run_without_cells_is_an_empty_table(tmp_path: Path) -> None:
    write_parquet(MANIFEST, [], tmp_path / "facts.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "facts.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("form", "start"),
    [("tap", b"TAP version 14"), ("csv", b"run,kernel"), ("parquet", b"PAR1"), ("json", b"[\n")],
)
def test_each_form_of_a_run_on_disk(form: str, start: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(MANIFEST))
    (tmp_path / "results.json").write_bytes(msgspec.json.encode([cell(Status.PASS, flows=7)]))
    assert export(form, tmp_path).startswith(start)
    with pytest.raises(UsageError, match="there are tap, csv, parquet, json"):
        export("xml", tmp_path)


def test_exporting_a_directory_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run directory"):
        export("tap", tmp_path / "missing")


def test_tap_shows_what_the_kernel_reported() -> None:
    marked = replace(cell(Status.PASS, flows=1), splats=(Splat(Kind.WARNING, "WARNING: net/x.c nf_x", "x"),))
    assert '    - "WARNING: net/x.c nf_x"' in tap([marked])
