"""Records run directories in the history, one or all."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, delete, select

from matrix.history.database import writing
from matrix.history.models import Entry, Kernel, Outcome, Run, RunSheet, Sheet
from matrix.history.record import record
from matrix.results.latest import read_finished
from vms.errors import UsageError


@dataclass(frozen=True)
class Rebuilt:
    """How many runs were recorded, and the reason of each directory that was left out."""

    runs: int
    left_out: tuple[str, ...]


def record_run(engine: Engine, path: Path) -> None:
    """Records the run in the directory as this machine's.

    Raises UsageError if it is no run directory or is damaged.
    """
    manifest, records = read_finished(path)
    record(engine, platform.node(), manifest, records)


def rebuild(engine: Engine, results: Path) -> Rebuilt:
    """Deletes this machine's runs and records those in the results directory.

    Other machines' runs in a shared database stay.
    """
    with writing(engine) as connection:
        connection.execute(delete(Run).where(Run.machine == platform.node()))
    runs = 0
    left_out = []
    for path in sorted(results.iterdir()) if results.is_dir() else ():
        if path.is_symlink() or not (path / "manifest.json").exists():
            continue
        try:
            record_run(engine, path)
            runs += 1
        except UsageError as error:
            left_out.append(str(error))
    _forget_unused(engine)
    return Rebuilt(runs, tuple(left_out))


def _forget_unused(engine: Engine) -> None:
    """Deletes rows that no run points at any more, children first."""
    with writing(engine) as connection:
        connection.execute(delete(Sheet).where(Sheet.digest.not_in(select(RunSheet.sheet))))
        connection.execute(delete(Outcome).where(Outcome.digest.not_in(select(Entry.outcome))))
        connection.execute(delete(Kernel).where(Kernel.id.not_in(select(Sheet.kernel))))
