"""A run as one long table for analysis, a line per fact, in CSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matrix.plan.plan import variant_name
from matrix.results.manifest import Manifest
from matrix.results.record import FactValue, Record
from vms.text import shown

COLUMNS = (
    "run",
    "kernel",
    "series",
    "release",
    "flavour",
    "version",
    "experiment",
    "variant",
    "status",
    "reason",
    "seconds",
    "fact",
    "value",
    "number",
)
"""`value` is the fact in JSON; `number` is the same as a number if it is one (a bool is 0 or 1). A
cell without facts has one line.
"""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(manifest: Manifest, records: Sequence[Record]) -> str:
    """The table as CSV by RFC 4180, with a header."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for line in _lines(manifest, records):
        writer.writerow([_inert(value) for value in line])
    return out.getvalue()


def write_parquet(manifest: Manifest, records: Sequence[Record], path: Path) -> None:
    """The table as a Parquet file; the manifest is in its metadata under `manifest`."""
    import msgspec
    import pyarrow as arrow  # takes a quarter of a second, so only this export loads it
    import pyarrow.parquet as parquet

    word = arrow.dictionary(arrow.int32(), arrow.string())
    kinds = {"seconds": arrow.float64(), "number": arrow.float64(), "value": arrow.string()}
    schema = arrow.schema(
        [(name, kinds.get(name, word)) for name in COLUMNS],
        metadata={"manifest": msgspec.json.encode(manifest)},
    )
    columns = list(zip(*_lines(manifest, records), strict=True)) or [()] * len(COLUMNS)
    table = arrow.table(
        [arrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )
    parquet.write_table(table, path, compression="zstd")


def _lines(manifest: Manifest, records: Sequence[Record]) -> Iterator[tuple[Any, ...]]:
    kernels = {kernel.name: kernel for kernel in manifest.kernels}
    for record in records:
        kernel = kernels[record.kernel]
        cell = (
            manifest.run,
            kernel.name,
            kernel.series,
            kernel.release,
            kernel.flavour,
            kernel.version,
            record.experiment,
            variant_name(record.variant),
            record.status.value,
            shown(record.reason),
            record.seconds,
        )
        for name, value in record.facts.items():
            yield (*cell, shown(name), json.dumps(value), _number(value))
        if not record.facts:
            yield (*cell, None, None, None)


def _number(value: FactValue) -> float | None:
    return float(value) if isinstance(value, int) else None


def _inert(value: object) -> object:
    """The value, quoted if a spreadsheet would take a guest's text for a formula."""
    return (
        f"'{value}"
        if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value)
        else value
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
