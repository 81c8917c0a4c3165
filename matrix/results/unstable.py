"""Marks cells of a finished run whose second attempt gave another answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from matrix.results.directory import cell_path, json_bytes
from matrix.results.latest import Key, read_finished
from matrix.results.record import Record, Status
from vms.files import write_whole


def mark_unstable(run: Path, disagreeing: Mapping[Key, Record]) -> list[Record]:
    """Changes the status of these cells to `unstable` and returns all records of the run.

    `disagreeing` maps a cell to its second answer; the facts of the first are kept.
    """
    manifest, records = read_finished(run)
    ids = {entry.name: entry.id for entry in manifest.kernels}
    marked = []
    for record in records:
        other = disagreeing.get((ids[record.kernel], *record.question))
        if other is not None:
            reason = f"a second attempt answered {_answer(other)}"
            record = replace(record, status=Status.UNSTABLE, reason=reason)
            write_whole(cell_path(run, record) / "record.json", json_bytes(record))
        marked.append(record)
    write_whole(run / "results.json", json_bytes(marked))
    return marked


def _answer(record: Record) -> str:
    return f"{record.status}: {msgspec.json.encode(record.facts).decode()}"
