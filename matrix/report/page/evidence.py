"""Packs evidence into the page, row by row; the page links to the files of all other evidence.

A blob is gzip in base64 of JSON: {column: {file name: {"note": size in words, "text": ...} or
{"note": ..., "packets": [...]}}}. The browser unpacks a row's blob when one of its cells is opened.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from matrix.analysis.table import Row
from matrix.report.page.packets import NotACaptureError, read_packets
from matrix.report.words import counted
from matrix.results.directory import cell_path
from matrix.results.links import plain_file
from matrix.results.record import Record, Status
from vms.text import shown

FILE_BYTES = 16_384
"""The page has at most this many bytes of a text file."""

PAGE_BYTES = 12 << 20
"""The page carries about this much evidence, measured before packing (a tenth of it after packing).
Of further cells the page only has links.
"""

_CAPTURE_BYTES = 1 << 20


def pack_evidence(run: Path, rows: Sequence[Row]) -> tuple[str, ...]:
    """One blob per row, empty if the row has no evidence."""
    found: list[dict[int, dict[str, Any]]] = [{} for _ in rows]
    carried = 0
    for place, column in _most_telling_first(rows):
        record = rows[place].records[column]
        if carried >= PAGE_BYTES:
            break
        if record is None or not record.evidence:
            continue
        files, size = _files(run, record)
        found[place][column] = files
        carried += size
    return tuple(
        base64.b64encode(gzip.compress(msgspec.json.encode(cells), 6, mtime=0)).decode() if cells else ""
        for cells in found
    )


def _most_telling_first(rows: Sequence[Row]) -> Iterable[tuple[int, int]]:
    """Every cell of every row as (row, column). Cells that did not pass, that changed, or whose
    behaviour is new in the row come first, with the cells that they are compared with.
    """
    telling, rest = [], []
    for place, row in enumerate(rows):
        numbers = row.behaviours
        chosen = set()
        for column, record in enumerate(row.records):
            if record is not None and (
                record.status is not Status.PASS
                or row.changed[column]
                or numbers[column] not in numbers[:column]
            ):
                chosen |= {column, max(column - 1, 0)} if row.changed[column] else {column}
        telling += [(place, column) for column in sorted(chosen)]
        rest += [(place, column) for column in range(len(row.records)) if column not in chosen]
    return [*telling, *rest]


def _files(run: Path, record: Record) -> tuple[dict[str, Any], int]:
    files, size = {}, 0
    for name in record.evidence:
        try:
            path = plain_file(run, cell_path(run, record) / name)
            with path.open("rb") as file:
                content = file.read(_CAPTURE_BYTES if name.endswith(".pcap") else FILE_BYTES)
                whole = path.stat().st_size
        except OSError:
            continue  # the report of a run that was moved without its cells is still a report
        files[name] = made = _file(name, content, whole)
        size += len(made.get("text", "")) + 100 * len(made.get("packets", ()))
    return files, size


def _file(name: str, content: bytes, whole: int) -> dict[str, Any]:
    if name.endswith(".pcap"):
        try:
            packets, more = read_packets(content)
        except NotACaptureError as error:
            return {"note": f"{_size(whole)}, not a capture: {error}", "text": ""}
        words = counted(len(packets), "packet")
        return {"note": f"the first {words}" if more else words, "packets": packets}
    note = _size(whole) if whole <= len(content) else f"the first {_size(len(content))} of {_size(whole)}"
    return {"note": note if whole else "empty", "text": shown(content.decode("utf-8", "replace"), FILE_BYTES)}


def _size(count: int) -> str:
    return counted(count, "byte") if count < 1000 else f"{count / 1000:,.1f} kB"
