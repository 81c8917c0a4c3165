"""Records run directories in the history, one or all."""

from __future__ import annotations

import platform
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, delete, select
from sqlalchemy.engine import URL

from matrix.history.database import SECONDS, open_database, writing
from matrix.history.models import Entry, Kernel, Outcome, Run, RunSheet, Sheet
from matrix.history.record import record
from matrix.results.latest import read_finished
from vms.deadline import Deadline
from vms.errors import UsageError


@dataclass(frozen=True)
class Rebuilt:
    """How many runs were recorded, and the reason of each directory that was left out."""

    runs: int
    left_out: tuple[str, ...]


def record_run(engine: Engine, path: Path) -> str:
    """Records the run in the directory as this machine's, and returns its name.

    Raises UsageError if it is no run directory or is damaged.
    """
    manifest, records = read_finished(path)
    record(engine, platform.node(), manifest, records)
    return manifest.run


def rebuild(url: URL, results: Path) -> Rebuilt:
    """Records all runs in the results directory, each in a transaction and a time of its own.

    A run that cannot be recorded stays as it was recorded before. Of this machine's runs those
    without a directory are forgotten; other machines' runs in a shared database stay.
    """
    with open_database(url, _time_for("opening the history"), recreate=True):
        pass
    there, recorded, left_out = set[str](), 0, list[str]()
    for path in sorted(results.iterdir()) if results.is_dir() else ():
        if path.is_symlink() or not (path / "manifest.json").exists():
            continue
        try:
            with open_database(url, _time_for(f"recording {path.name}")) as engine:
                there.add(record_run(engine, path))
            recorded += 1
        except UsageError as error:
            there.add(path.name)
            left_out.append(str(error))
    with open_database(url, _time_for("forgetting the runs without a directory")) as engine:
        _forget(engine, there)
    return Rebuilt(recorded, tuple(left_out))


def _time_for(doing: str) -> Deadline:
    return Deadline(SECONDS, doing)


def _forget(engine: Engine, there: Collection[str]) -> None:
    """Deletes this machine's runs with other names, and rows that no run points at any more,
    children first.
    """
    with writing(engine) as connection:
        mine = select(Run.id, Run.name).where(Run.machine == platform.node())
        for number in [row.id for row in connection.execute(mine) if row.name not in there]:
            connection.execute(delete(Run).where(Run.id == number))
        connection.execute(delete(Sheet).where(Sheet.digest.not_in(select(RunSheet.sheet))))
        connection.execute(delete(Outcome).where(Outcome.digest.not_in(select(Entry.outcome))))
        connection.execute(delete(Kernel).where(Kernel.id.not_in(select(Sheet.kernel))))
