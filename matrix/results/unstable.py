"""Marks cells of a finished run that disagreed with themselves when they were asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from matrix.plan.plan import variant_name
from matrix.results.directory import cell_path, json_bytes
from matrix.results.latest import Key, read_finished
from matrix.results.record import Record, Status
from vms.files import write_whole


def mark_unstable(run: Path, disagreeing: Mapping[Key, Record]) -> list[Record]:
    """Makes the run's records of these cells `unstable`, keeping their facts, and gives all records
    of the run.

    `disagreeing` maps a cell to the other answer it gave.
    """
    manifest, records = read_finished(run)
    ids = {entry.name: entry.id for entry in manifest.kernels}
    marked = []
    for record in records:
        other = disagreeing.get((ids[record.kernel], record.experiment, variant_name(record.variant)))
        if other is not None:
            record = replace(record, status=Status.UNSTABLE, reason=f"asked again it answered {_told(other)}")
            write_whole(cell_path(run, record) / "record.json", json_bytes(record))
        marked.append(record)
    write_whole(run / "results.json", json_bytes(marked))
    return marked


def _told(record: Record) -> str:
    return f"{record.status}: {msgspec.json.encode(record.facts).decode()}"
