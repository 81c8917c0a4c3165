"""Exports a run for other programs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matrix.report.export.tables import as_csv, write_parquet
from matrix.report.export.tap import tap
from matrix.results.directory import json_bytes
from matrix.results.latest import read_finished
from matrix.results.manifest import Manifest
from matrix.results.record import Record
from vms.errors import UsageError
from vms.suggest import suggestion


def export(form: str, run: Path) -> bytes:
    """The run as `tap`, `csv`, `parquet` or `json` (see docs/schema/results.schema.json).

    Raises UsageError for another form or no run.
    """
    if form not in FORMS:
        raise UsageError(f"export: there is no form {form!r}; {suggestion(form, FORMS)}")
    return FORMS[form](*read_finished(run))


def _parquet(manifest: Manifest, records: Sequence[Record]) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        write_parquet(manifest, records, Path(file.name))
        return file.read()


FORMS: Mapping[str, Callable[[Manifest, Sequence[Record]], bytes]] = {
    "tap": lambda _manifest, records: tap(records).encode(),
    "csv": lambda manifest, records: as_csv(manifest, records).encode(),
    "parquet": _parquet,
    "json": lambda _manifest, records: json_bytes(records),
}
