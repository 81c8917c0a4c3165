"""The run directory: written cell by cell, complete at every moment, so that an interrupted run can
be continued.

    results/<run>/manifest.json
                  results.json
                  cells/<kernel>/<experiment>/[<variant>/]record.json, evidence
                  report/
    results/latest -> <run>

Each file, and each cell's directory, appears by one rename. Cells are on the disk before the
manifest says that the run is finished; one that a power cut damaged before that is run again. A
lock on the run directory, which the kernel drops when its process ends, keeps two processes from
writing one run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import msgspec

from matrix import VERSION
from matrix.plan.plan import variant_name
from matrix.results.decode import checked, read_manifest, read_origin, read_record
from matrix.results.judge import Judged
from matrix.results.links import holds_links, plain_file
from matrix.results.manifest import Manifest
from matrix.results.record import Record, Status
from vms.deadline import Deadline
from vms.errors import HostError, UsageError, plain_error
from vms.files import alone_in, disk_errors, lock_directory, write_whole
from vms.suggest import suggestion
from vms.tool import sync

MOST_EVIDENCE = 512 << 20
"""Bytes of evidence of one kernel in a run, a hundred times what usual cells have. A guest that
fills this takes no room from other kernels.
"""

Key = tuple[str, str, str]
_LEFT_OUT = (
    f"The evidence of this cell is left out: its kernel already has {MOST_EVIDENCE >> 20} MiB in this run.\n"
)
_SECONDS = 60
_TEMPORARY = ".*-????????"  # what `tempfile` makes of the prefixes here and in `write_whole`


class RunDirectory:
    """One run on disk, open for writing. `records` has the cells that are done.

    `keys` has the key of each planned cell, a digest of what determines its answer.
    """

    def __init__(self, path: Path, manifest: Manifest, lock: int) -> None:
        self.path = path
        self.manifest = manifest
        self.records: dict[Key, Record] = {}
        self.keys: Mapping[Key, str] = {}
        self._lock = lock
        self._evidence: Counter[str] = Counter()

    @property
    def report(self) -> Path:
        """The directory for reports."""
        return self.path / "report"

    def keep(self, judged: Judged, console: str) -> Record:
        """Writes one cell and returns its record with the names of all its evidence.

        A cell that cannot be written becomes an `error` without evidence, so that the next run runs
        it again. Raises HostError if no cell could be written: the disk is full or read-only.
        """
        try:
            record = self._write(judged, console)
        except HostError:
            raise
        except Exception as error:
            record = replace(
                judged.record,
                status=Status.ERROR,
                facts={},
                evidence=(),
                reason=f"the answer could not be stored: {plain_error(error)}",
            )
        self.records[record_key(record)] = record
        return record

    def _write(self, judged: Judged, console: str) -> Record:
        files = dict(judged.evidence)
        if console:
            files["console.log"] = console.encode(errors="replace")
        if self._evidence[judged.record.kernel] + sum(map(len, files.values())) > MOST_EVIDENCE:
            files = {"left-out.txt": _LEFT_OUT.encode()}
        record = replace(
            judged.record,
            evidence=tuple(sorted(files)),
            key=self.keys.get(record_key(judged.record), ""),
        )
        self._publish(record, files)
        return record

    def take_over(self, earlier: Path, record: Record, here: Record) -> bool:
        """Writes the cell `here` with the evidence that `record` has in an earlier run.

        Returns False if some of that is gone or cannot be stored. Raises HostError as `keep`.
        """
        source = cell_path(earlier, record)
        files = {}
        left = MOST_EVIDENCE - self._evidence[here.kernel]
        try:
            for name in record.evidence:
                path = plain_file(earlier, source / name)
                left -= path.stat().st_size
                if left < 0:
                    return False
                files[name] = path.read_bytes()
            self._publish(here, files)
        except OSError:
            return False
        self.records[record_key(here)] = here
        return True

    def _publish(self, record: Record, files: Mapping[str, bytes]) -> None:
        """Publishes the directory of a cell, with its record and evidence, by one rename."""
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
        self._evidence[record.kernel] += sum(map(len, files.values()))

    def resume(self, records: Iterable[Record]) -> None:
        """Takes over records that an earlier process wrote into this directory."""
        for record in records:
            self.records[record_key(record)] = record
            place = cell_path(self.path, record)
            self._evidence[record.kernel] += sum(
                (place / name).stat().st_size for name in record.evidence if (place / name).exists()
            )

    def update(self, manifest: Manifest) -> None:
        """Writes a new manifest."""
        self.manifest = manifest
        write_whole(self.path / "manifest.json", json_bytes(manifest))

    def close(self, *, finished: bool) -> None:
        """Writes `results.json`, dates the manifest if the run is finished, and unlocks the
        directory.
        """
        try:
            records = sorted(self.records.values(), key=record_key)
            write_whole(self.path / "results.json", json_bytes(records))
            if finished:
                sync(self.path)
                self.update(replace(self.manifest, finished=now()))
        finally:
            os.close(self._lock)


def open_run(
    results: Path, manifest: Manifest, note: Callable[[str], None] = lambda _text: None
) -> RunDirectory:
    """Continues the newest unfinished run with the same plan, or else starts a new one.

    The number of a new one is one more than the manifest's and than the largest in the directory.
    Cells that ended in `error` or whose record is damaged are not among its records, so that they
    are run again. The link `results/latest` is moved to the run. `note` is called with a message
    for each damaged record, and if the last run was not finished and cannot be read.
    """
    with disk_errors(f"opening a run under {results}"):
        results.mkdir(parents=True, exist_ok=True)
        # Runs that start at once get different numbers.
        late = (
            f"another process that opens a run under {results} did not finish within {_SECONDS} s; end that"
            " process and try again"
        )
        with alone_in(results, Deadline(_SECONDS, "opening a run"), late):
            run = _unfinished(results, manifest.plan, note) or _new(results, manifest)
            # Of processes that were killed; nobody else writes these now.
            for left in chain(
                results.glob(".latest-*"), run.path.glob(_TEMPORARY), run.report.glob(_TEMPORARY)
            ):
                _remove(left)
            link = Path(tempfile.mktemp(prefix=".latest-", dir=results))
            link.symlink_to(run.path.name)
            link.replace(results / "latest")
    return run


def _remove(left: Path) -> None:
    if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)


def find_run(results: Path, name: str) -> Path:
    """The directory of a run, by its name in the results directory or by a path.

    Raises UsageError that names the nearest runs if there is none.
    """
    path = results / name
    if (path / "manifest.json").is_file():
        return path
    runs = sorted(found.parent.name for found in results.glob("*/manifest.json"))
    newest = f"the newest is {runs[-1]}" if runs else ""
    raise UsageError(f"there is no run {name!r} in {results}; {suggestion(name, runs, newest)}")


def read_run(path: Path) -> tuple[Manifest, list[Record]]:
    """The manifest and the records of a run directory.

    Raises UsageError if `path` is no run directory, is damaged, or is of another schema.
    """
    try:
        manifest = read_manifest(path)
        return manifest, checked(path, manifest, _records(path))
    except FileNotFoundError as error:
        raise UsageError(f"{path} is not a run directory: it has no {Path(error.filename).name}") from error
    except OSError as error:
        raise UsageError(f"the run in {path} cannot be read: {error}") from error


def cell_path(run: Path, record: Record) -> Path:
    """The directory of a cell within its run."""
    return run / "cells" / record.kernel / record.experiment / variant_name(record.variant)


def record_key(record: Record) -> Key:
    """The key of a record's cell within its run, equal to `Cell.key`."""
    return record.kernel, *record.question


def json_bytes(value: object, indent: int = 1) -> bytes:
    """The value as indented JSON, which people can read and diff."""
    return msgspec.json.format(msgspec.json.encode(value), indent=indent) + b"\n"


def now() -> str:
    """The current time, ISO 8601 in UTC, to the second."""
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
        lock = lock_directory(path)
        if lock is None:
            continue
        manifest = read_manifest(path)  # another process may have changed it before the lock was taken
        if manifest.finished:
            os.close(lock)
            continue
        if holds_links(path):  # through which cells would be written elsewhere
            note(f"{path} is not continued: there are links in it, which no run has")
            os.close(lock)
            continue
        run = RunDirectory(path, manifest, lock)
        run.resume(record for record in _readable(path, note) if record.status is not Status.ERROR)
        return run
    return None


def _new(results: Path, manifest: Manifest) -> RunDirectory:
    numbers = (read_origin(path.parent).number for path in results.glob("*/manifest.json"))
    number = max(manifest.number, *numbers, 0) + 1
    for attempt in range(1, 1000):
        path = results / (manifest.run if attempt == 1 else f"{manifest.run}-{attempt}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        lock = lock_directory(path)
        if lock is None:
            continue
        run = RunDirectory(path, replace(manifest, run=path.name, version=VERSION, number=number), lock)
        run.update(run.manifest)
        return run
    raise HostError(f"{results} holds a thousand runs of this second")


def _records(path: Path) -> list[Record]:
    return [read_record(path, file) for file in _record_files(path)]


def _readable(path: Path, note: Callable[[str], None]) -> Iterator[Record]:
    """The records of an unfinished run but those that are damaged, as a power cut leaves them."""
    for file in _record_files(path):
        try:
            yield read_record(path, file)
        except (OSError, UsageError) as error:
            note(f"a cell is run again, since its record cannot be used: {plain_error(error)}")


def _record_files(path: Path) -> list[Path]:
    return sorted((path / "cells").rglob("record.json"))
