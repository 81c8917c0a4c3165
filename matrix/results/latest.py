"""The newest answer of every cell, collected from several runs.

A nightly run runs only some cells; the others were answered by earlier runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from guest.catalogue import Experiment
from matrix.plan.plan import Cell, variant_name
from matrix.results.decode import checked, read_manifest, read_results
from matrix.results.directory import now, read_run
from matrix.results.manifest import KernelEntry, Manifest, Order
from matrix.results.published import Published, is_published, read_published
from matrix.results.record import Record, Status
from vms.errors import UsageError

Key = tuple[str, str, str]
"""The id of a kernel, an experiment's name, a variant's name.

Not the kernel's name, which depends on the other kernels of its run.
"""


@dataclass(frozen=True)
class Answer:
    """A record, and when its run was started (ISO 8601, UTC), with the number of the run."""

    record: Record
    seen: str
    run: int = 0

    @property
    def order(self) -> Order:
        """Sorts answers from the oldest to the newest, as their runs."""
        return self.run, self.seen


@dataclass(frozen=True)
class LatestAnswers:
    """Kernels by id, and the newest answer of each cell; a record with `error` is no answer."""

    kernels: Mapping[str, KernelEntry] = field(default_factory=dict)
    answers: Mapping[Key, Answer] = field(default_factory=dict)

    def with_run(self, manifest: Manifest, records: Iterable[Record]) -> LatestAnswers:
        """A copy that has the run's answers where they are newer."""
        return self.with_runs([(manifest, records)])

    def with_runs(self, runs: Iterable[tuple[Manifest, Iterable[Record]]]) -> LatestAnswers:
        """A copy that has the runs' answers where they are newer."""
        kernels, answers = dict(self.kernels), dict(self.answers)
        for manifest, records in runs:
            kernels |= {entry.id: entry for entry in manifest.kernels}
            ids = {entry.name: entry.id for entry in manifest.kernels}
            for record in records:
                key = (ids[record.kernel], *record.question)
                if record.status is not Status.ERROR and (
                    key not in answers or answers[key].order <= manifest.order
                ):
                    answers[key] = Answer(record, manifest.started, manifest.number)
        return replace(self, kernels=kernels, answers=answers)

    def answer_to(self, cell: Cell) -> Answer | None:
        """The newest answer of a planned cell, as `answer_of`."""
        return self.answer_of(cell.kernel.id, cell.experiment, cell.variant)

    def answer_of(self, kernel: str, experiment: Experiment, variant: Mapping[str, str]) -> Answer | None:
        """The newest answer of the kernel with this id.

        None if there is none, or if the experiment now declares other facts than were answered.
        """
        answer = self.answers.get((kernel, experiment.name, variant_name(variant)))
        if answer is None or not answer.record.facts:
            return answer
        return answer if answer.record.declared.keys() == {fact.name for fact in experiment.facts} else None


def read_latest(results: Path, start: LatestAnswers, complain: Callable[[str], None]) -> LatestAnswers:
    """`start`, updated with the answers of every nightly run that has finished.

    `complain` is called with a message for a run that cannot be read, which is left out, and for
    one from the future.
    """
    known = start
    for marker in sorted(results.glob("*/nightly.json")):
        if marker.parent.is_symlink():
            continue
        try:
            manifest, records = read_finished(marker.parent)
            known = known.with_run(manifest, records)
        except UsageError as error:
            complain(f"left out {marker.parent}: {error}")
            continue
        complain_of_future(manifest, complain)
    return known


def complain_of_future(manifest: Manifest, complain: Callable[[str], None]) -> None:
    """Calls `complain` with a message if the run was started in the future."""
    if manifest.started > now():
        complain(
            f"the run {manifest.run} was started at {manifest.started}, which is in the future: this"
            " machine's clock was wrong then, or is now. Runs are in the order of their numbers, which"
            " no clock changes"
        )


def read_finished(path: Path) -> tuple[Manifest, list[Record]]:
    """As `directory.read_run`, but a finished run is read from two files instead of thousands, and
    a record (`matrix.results.published`) as one run of all its builds.

    Raises UsageError as `directory.read_run` does.
    """
    if is_published(path):
        return _together(path)
    try:
        manifest = read_manifest(path)
        if manifest.finished:
            return manifest, checked(path, manifest, read_results(path))
    except OSError:
        pass  # read_run reads the cells' own files, or says what is missing
    except UsageError:
        if not (path / "cells").is_dir():
            raise
    return read_run(path)


def read_runs(path: Path) -> list[tuple[Manifest, list[Record]]]:
    """As `read_finished`, but of a record each build, with the manifest of its own."""
    builds = read_record(path) if is_published(path) else ()
    return [(build.manifest, list(build.records)) for build in builds] or [read_finished(path)]


def read_record(path: Path) -> tuple[Published, ...]:
    """What each build of a record answered. Raises UsageError if it cannot be read."""
    return _record(path)[1]


def _together(path: Path) -> tuple[Manifest, list[Record]]:
    manifest, builds = _record(path)
    return manifest, [record for build in builds for record in build.records]


def _record(path: Path) -> tuple[Manifest, tuple[Published, ...]]:
    try:
        manifest = read_manifest(path)
        return manifest, read_published(path, manifest)
    except OSError as error:
        raise UsageError(f"the record in {path} cannot be read: {error}; restore it from a copy") from error
