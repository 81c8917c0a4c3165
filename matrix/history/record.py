"""Writes a run into the history."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, delete, insert
from sqlalchemy.dialects import postgresql, sqlite

from matrix.history.database import writing
from matrix.history.models import Base, Entry, Fact, Outcome, Run, RunSheet, Sheet
from matrix.history.models import Kernel as KernelRow
from matrix.plan.plan import variant_name
from matrix.results.manifest import KernelEntry, Manifest
from matrix.results.record import Record, Status
from vms.errors import UsageError

_Rows = dict[type[Base], dict[object, dict[str, Any]]]
"""The rows to write, by table and key."""

_encode = msgspec.json.Encoder(order="sorted").encode


def record(engine: Engine, machine: str, manifest: Manifest, records: Iterable[Record]) -> None:
    """Writes one run, whole or not at all. It replaces a run of the same name and machine.

    Raises UsageError if it was started at a time that no database holds.
    """
    with writing(engine) as connection:
        _record(connection, machine, manifest, tuple(records))


def _record(connection: Connection, machine: str, manifest: Manifest, records: tuple[Record, ...]) -> None:
    started = _started(manifest)
    connection.execute(delete(Run).where(Run.machine == machine, Run.name == manifest.run))
    run = connection.scalar(
        insert(Run)
        .values(
            machine=machine,
            name=manifest.run,
            number=manifest.number,
            started=started,
            cells=len(records),
        )
        .returning(Run.id)
    )
    rows: _Rows = defaultdict(dict)
    by_kernel: dict[str, list[Record]] = defaultdict(list)
    for one in records:
        by_kernel[one.kernel].append(one)
    entries = {entry.name: entry for entry in manifest.kernels}
    for name, cells in by_kernel.items():
        kernel = _kernel(rows, entries[name])
        lines = sorted((one.experiment, variant_name(one.variant), _outcome(rows, one)) for one in cells)
        sheet = _digest([kernel, lines])
        rows[Sheet][sheet] = {"digest": sheet, "kernel": kernel}
        rows[RunSheet][sheet] = {"run": run, "sheet": sheet}
        for experiment, variant, outcome in lines:
            rows[Entry][sheet, experiment, variant] = {
                "sheet": sheet,
                "experiment": experiment,
                "variant": variant,
                "outcome": outcome,
            }
    # Parents before children: foreign keys are checked row by row.
    for table in (KernelRow, Outcome, Fact, Sheet, Entry, RunSheet):
        _insert_new(connection, table, list(rows[table].values()))


def _started(manifest: Manifest) -> datetime:
    try:
        return datetime.fromisoformat(manifest.started).astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise UsageError(f"the run {manifest.run} was started at {manifest.started}: {error}") from error


def _kernel(rows: _Rows, kernel: KernelEntry) -> str:
    rows[KernelRow][kernel.id] = {
        "id": kernel.id,
        "name": kernel.name,
        "series": kernel.series,
        "release": kernel.release,
        "flavour": kernel.flavour,
        "version": kernel.version,
    }
    return kernel.id


def _outcome(rows: _Rows, one: Record) -> str:
    reason = "" if one.status is Status.ERROR else one.reason
    facts = {name: _encode(value).decode() for name, value in one.facts.items()}
    digest = _digest([one.experiment, one.status, reason, facts])
    if digest not in rows[Outcome]:
        rows[Outcome][digest] = {
            "digest": digest,
            "experiment": one.experiment,
            "status": one.status.value,
            "reason": reason,
        }
        for name, value in facts.items():
            rows[Fact][digest, name] = {"outcome": digest, "name": name, "value": value}
    return digest


def _digest(content: object) -> str:
    # 128 bits: a guest chooses its facts, and must not be able to make two outcomes collide.
    return hashlib.blake2b(_encode(content), digest_size=16).hexdigest()


def _insert_new(connection: Connection, table: type[Base], rows: list[dict[str, Any]]) -> None:
    """Inserts the rows whose keys are new; rows with equal keys have equal content."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)
