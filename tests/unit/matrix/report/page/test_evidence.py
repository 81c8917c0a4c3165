from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bench import generate
from matrix.analysis.table import Row, Table, make_table
from matrix.report.page import evidence
from matrix.report.page.evidence import FILE_BYTES, pack_evidence
from matrix.results.directory import cell_path
from matrix.results.record import Record, Status

ENTRIES = generate.kernels(10)
CATALOGUE = generate.experiments(1)
NAME = next(iter(CATALOGUE))


def table(flows: list[int]) -> Table:
    records = [
        Record(entry.name, NAME, {}, Status.PASS, {"flows": n}, evidence=("a.txt",))
        for entry, n in zip(ENTRIES, flows, strict=False)
    ]
    return make_table(generate.manifest(ENTRIES[: len(flows)], (NAME,)), records, CATALOGUE)


def write(run: Path, rows: tuple[Row, ...], content: bytes) -> None:
    for row in rows:
        for record in row.records:
            assert record
            directory = cell_path(run, record)
            directory.mkdir(parents=True)
            (directory / "a.txt").write_bytes(content)


def unpack(blob: str) -> dict[str, Any]:
    unpacked: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(blob)))
    return unpacked


def test_a_text_file_is_carried(tmp_path: Path) -> None:
    rows = table([1]).rows
    write(tmp_path, rows, b"tcp 6 SYN_SENT\n")
    (blob,) = pack_evidence(tmp_path, rows)
    assert unpack(blob) == {"0": {"a.txt": {"note": "15 bytes", "text": "tcp 6 SYN_SENT\n"}}}


def test_a_long_file_is_cut_and_says_so(tmp_path: Path) -> None:
    rows = table([1]).rows
    write(tmp_path, rows, b"x" * (FILE_BYTES + 1000))
    found = unpack(pack_evidence(tmp_path, rows)[0])["0"]["a.txt"]
    assert len(found["text"]) == FILE_BYTES
    assert found["note"] == "the first 16.4 kB of 17.4 kB"


def test_terminal_escapes_and_broken_text_are_shown_not_obeyed(tmp_path: Path) -> None:
    rows = table([1]).rows
    write(tmp_path, rows, b"\x1b[31m\xff\x00")
    assert unpack(pack_evidence(tmp_path, rows)[0])["0"]["a.txt"]["text"] == "\u241b[31m\ufffd\u2400"


def test_missing_files_leave_a_page_without_them(tmp_path: Path) -> None:
    assert unpack(pack_evidence(tmp_path, table([1]).rows)[0]) == {"0": {}}


def test_when_there_is_too_much_the_cells_around_a_change_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table([1, 1, 1, 1, 2, 2, 2, 2]).rows
    write(tmp_path, rows, b"x" * 100)
    monkeypatch.setattr(evidence, "PAGE_BYTES", 250)
    assert list(unpack(pack_evidence(tmp_path, rows)[0])) == ["0", "3", "4"]


def test_a_name_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    record = Record(ENTRIES[0].name, NAME, {}, Status.PASS, {"flows": 1}, evidence=("../../../secret",))
    rows = make_table(generate.manifest(ENTRIES[:1], (NAME,)), [record], CATALOGUE).rows
    assert "secret" not in gzip.decompress(base64.b64decode(pack_evidence(tmp_path, rows)[0])).decode()


@pytest.mark.parametrize("linked", ["a.txt", "."])
def test_a_link_out_of_a_run_is_not_followed(tmp_path: Path, linked: str) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("secret")
    rows = table([1]).rows
    write(run, rows, b"")
    record = rows[0].records[0]
    assert record
    place = cell_path(run, record)
    (place / "a.txt").unlink()
    if linked == ".":
        place.rmdir()
    (place / linked).symlink_to(outside / linked)
    assert unpack(pack_evidence(run, rows)[0]) == {"0": {}}


def test_a_capture_is_carried_as_packets(tmp_path: Path) -> None:
    record = Record(ENTRIES[0].name, NAME, {}, Status.PASS, {"flows": 1}, evidence=("capture.pcap",))
    rows = make_table(generate.manifest(ENTRIES[:1], (NAME,)), [record], CATALOGUE).rows
    generate.write_evidence(tmp_path, record)
    found = unpack(pack_evidence(tmp_path, rows)[0])["0"]["capture.pcap"]
    assert found["note"] == "10 packets"
    assert found["packets"][0] == [0.0, "", "198.18.0.2:10000", "192.0.2.1:80", "TCP", "SYN seq 1000", 40]
