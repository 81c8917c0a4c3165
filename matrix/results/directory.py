"""The run directory: written as cells finish, whole at every moment, and where an interrupted run
goes on.

    results/<run>/manifest.json
                  results.json
                  cells/<kernel>/<experiment>/[<variant>/]record.json, evidence
                  report/
    results/latest -> <run>

A file appears by one rename, and so does a cell's directory. A lock on the run directory itself,
which dies with its holder, keeps two processes from writing one run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from matrix import VERSION
from matrix.plan.plan import variant_name
from matrix.results.decode import read_manifest, read_origin, read_record
from matrix.results.judge import Judged
from matrix.results.manifest import Manifest
from matrix.results.record import Record, Status
from vms.errors import HostError, UsageError
from vms.files import disk_errors, write_whole

Key = tuple[str, str, str]


class RunDirectory:
    """One run on disk, open for writing."""

    def __init__(self, path: Path, manifest: Manifest, lock: int) -> None:
        self.path = path
        self.manifest = manifest
        self.records: dict[Key, Record] = {}
        self._lock = lock

    @property
    def report(self) -> Path:
        """Where reports go."""
        return self.path / "report"

    def keep(self, judged: Judged, console: str) -> Record:
        """Writes one cell and gives its record with the names of all its evidence."""
        files = dict(judged.evidence)
        if console:
            files["console.log"] = console.encode(errors="replace")
        record = replace(judged.record, evidence=tuple(sorted(files)))
        target = cell_path(self.path, record)
        with disk_errors(f"writing a cell of the run {self.path}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".cell-", dir=self.path))
            try:
                for name, content in files.items():
                    (staging / name).write_bytes(content)
                (staging / "record.json").write_bytes(json_bytes(record))
                staging.chmod(0o755)
                if target.exists():
                    shutil.rmtree(target)
                staging.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        self.records[record_key(record)] = record
        return record

    def update(self, manifest: Manifest) -> None:
        """Replaces the manifest."""
        self.manifest = manifest
        write_whole(self.path / "manifest.json", json_bytes(manifest))

    def close(self, *, finished: bool) -> None:
        """Writes `results.json`, closes the manifest if the run is finished, and lets others have
        the directory.
        """
        write_whole(self.path / "results.json", json_bytes(sorted(self.records.values(), key=record_key)))
        if finished:
            self.update(replace(self.manifest, finished=now()))
        os.close(self._lock)


def open_run(
    results: Path, manifest: Manifest, note: Callable[[str], None] = lambda _text: None
) -> RunDirectory:
    """The newest unfinished run with the same plan, with the records it has, or else a new one.

    Cells that ended in `error` are not among the records: they are to be run again.
    `results/latest` points to the run from now on. `note` is called if the last run was not
    finished and cannot be read.
    """
    with disk_errors(f"opening a run under {results}"):
        results.mkdir(parents=True, exist_ok=True)
        run = _unfinished(results, manifest.plan, note) or _new(results, manifest)
        for left in run.path.glob(".cell-*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        link = Path(tempfile.mktemp(prefix=".latest-", dir=results))
        link.symlink_to(run.path.name)
        link.replace(results / "latest")
    return run


def read_run(path: Path) -> tuple[Manifest, list[Record]]:
    """The manifest and the records of a run directory.

    Raises UsageError if it is none, is damaged, or was written in another schema.
    """
    try:
        return read_manifest(path), _records(path)
    except FileNotFoundError as error:
        raise UsageError(f"{path} is not a run directory: it has no {Path(error.filename).name}") from error
    except OSError as error:
        raise UsageError(f"the run in {path} cannot be read: {error}") from error


def cell_path(run: Path, record: Record) -> Path:
    """The directory of a cell within its run."""
    return run / "cells" / record.kernel / record.experiment / variant_name(record.variant)


def record_key(record: Record) -> Key:
    """Names a record's cell within its run, as `Cell.key` does."""
    return record.kernel, record.experiment, variant_name(record.variant)


def json_bytes(value: object, indent: int = 1) -> bytes:
    """The value as JSON that people can read and compare line by line."""
    return msgspec.json.format(msgspec.json.encode(value), indent=indent) + b"\n"


def now() -> str:
    """This second, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _unfinished(results: Path, plan: str, note: Callable[[str], None]) -> RunDirectory | None:
    newest = results / (results / "latest").readlink() if (results / "latest").is_symlink() else None
    for path in sorted(results.iterdir(), reverse=True):
        if path.is_symlink() or not (path / "manifest.json").is_file():
            continue
        try:
            manifest = read_manifest(path)
        except UsageError as error:
            if path == newest and not read_origin(path).finished:
                note(f"a new run is started, since the last one cannot be continued: {error}")
            continue
        if manifest.plan != plan or manifest.finished:
            continue
        lock = _locked(path)
        if lock is None:
            continue
        run = RunDirectory(path, manifest, lock)
        run.records = {
            record_key(record): record for record in _records(path) if record.status is not Status.ERROR
        }
        return run
    return None


def _new(results: Path, manifest: Manifest) -> RunDirectory:
    for number in range(1, 1000):
        path = results / (manifest.run if number == 1 else f"{manifest.run}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        lock = _locked(path)
        if lock is None:
            continue
        run = RunDirectory(path, replace(manifest, run=path.name, version=VERSION), lock)
        run.update(run.manifest)
        return run
    raise HostError(f"{results} holds a thousand runs of this second")


def _locked(path: Path) -> int | None:
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _records(path: Path) -> list[Record]:
    return [read_record(path, file) for file in sorted((path / "cells").rglob("record.json"))]
