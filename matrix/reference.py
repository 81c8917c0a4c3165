"""Publishes answers: adds those of finished runs to the record, which is kept in git for readers,
without captures and logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from guest.catalogue import Experiment
from matrix.analysis.analysis import analyse
from matrix.analysis.ledger.read import read_ledger
from matrix.plan.plan import cell_label, variant_name
from matrix.report.text.record import record_page
from matrix.results.latest import read_finished, read_record
from matrix.results.manifest import Manifest
from matrix.results.published import Published, is_published, write_published
from matrix.results.record import Record, Status
from vms.errors import UsageError
from vms.files import write_whole
from vms.kernels.resolve import renamed

_NAMED = 4  # runs in the name of the record
Builds = Mapping[str, Published]
"""What builds answered, by their ids."""


def publish(
    runs: Sequence[Path], reference: Path, catalogue: Mapping[str, Experiment], code: Mapping[str, str]
) -> Path:
    """Adds the answers of runs to the record and returns its page; later answers replace earlier
    ones. Answers to what the catalogue no longer asks are dropped.

    `code` has the digest of each experiment as the runs asked it. Raises UsageError if a run has an
    `error`, or had a userland of its own, or if the record then lacks a cell.
    """
    builds: Builds = record_of(reference)
    for run in runs:
        more = parts(run, code)
        if userland := next(filter(None, (one.manifest.surroundings.userland for one in more)), ""):
            raise UsageError(
                f"{run} cannot be the reference: its guests' userland was {userland}, which nobody else has;"
                " ask again without --backend"
            )
        builds = added(builds, more)
    records = [record for build in builds.values() for record in build.records]
    lost = [
        f"{record.experiment} on {record.kernel} is error"
        for record in records
        if record.status is Status.ERROR
    ]
    if wrong := lost + lacking(records, catalogue):
        raise UsageError(
            f"{', '.join(map(str, runs))} cannot be the reference: {', '.join(wrong)}; run `./invoke"
            " matrix` for these and publish all runs together"
        )
    return write_record(reference, builds, catalogue)


def record_of(reference: Path) -> dict[str, Published]:
    """What each build of the record answered; nothing if there is no record yet. Raises as
    `read_record`.
    """
    return {one.kernel.id: one for one in read_record(reference)} if is_published(reference) else {}


def parts(run: Path, code: Mapping[str, str]) -> tuple[Published, ...]:
    """What each kernel of a run answered, or each build of a record. Raises as `read_finished`."""
    if is_published(run):
        return read_record(run)
    return split(*read_finished(run), code)


def split(manifest: Manifest, records: Iterable[Record], code: Mapping[str, str]) -> tuple[Published, ...]:
    """What each kernel of a run answered. `code` has the digest of each experiment."""
    of: dict[str, list[Record]] = {kernel.name: [] for kernel in manifest.kernels}
    for record in records:
        of[record.kernel].append(record)
    return tuple(
        Published(
            replace(manifest, kernels=(kernel,)),
            tuple(of[kernel.name]),
            {
                name: code[name]
                for name in dict.fromkeys(r.experiment for r in of[kernel.name])
                if name in code
            },
        )
        for kernel in manifest.kernels
    )


def added(builds: Builds, more: Iterable[Published]) -> Builds:
    """The builds with more answers, which replace what the same builds answered before."""
    whole = dict(builds)
    for one in more:
        known = whole.get(one.kernel.id)
        whole[one.kernel.id] = _joined(known, one) if known else one
    return whole


def _joined(old: Published, new: Published) -> Published:
    records = {record.question: record for record in old.records}
    records |= {record.question: record for record in new.records}
    return Published(new.manifest, tuple(records.values()), {**old.code, **new.code})


def write_record(reference: Path, builds: Builds, catalogue: Mapping[str, Experiment]) -> Path:
    """Writes the record, without what the catalogue no longer asks, and returns its page."""
    asked = {
        (experiment.name, variant_name(variant))
        for experiment in catalogue.values()
        for variant in experiment.combinations()
    }
    entries = {entry.id: entry for entry in renamed(build.kernel for build in builds.values())}
    kept = [_kept(builds[key], entry.name, asked) for key, entry in entries.items()]
    newest = max((build.manifest for build in kept), key=lambda manifest: manifest.started)
    # Without a number: where it is read it is older than all runs there.
    manifest = replace(
        newest,
        run=_name(kept),
        experiments=tuple(catalogue),
        kernels=tuple(entries.values()),
        number=0,
    )
    write_published(reference, manifest, kept)
    page = reference / "README.md"
    records = [record for build in kept for record in build.records]
    write_whole(page, reference_page(manifest, records, catalogue).encode())
    return page


def _kept(build: Published, name: str, asked: set[tuple[str, str]]) -> Published:
    """The build with the answers to what is asked, under its name in the record."""
    records = sorted(
        (replace(record, kernel=name) for record in build.records if record.question in asked),
        key=lambda record: record.question,
    )
    names = {record.experiment for record in records}
    code = {name: build.code[name] for name in sorted(build.code) if name in names}
    return Published(replace(build.manifest, number=0), tuple(records), code)


def _name(builds: Sequence[Published]) -> str:
    """The runs that asked."""
    runs = {build.manifest.run: build.manifest.started for build in builds}
    ordered = sorted(runs, key=lambda run: (runs[run], run))
    if len(ordered) <= _NAMED:
        return " and ".join(ordered)
    return f"{ordered[0]} to {ordered[-1]}, {len(ordered)} runs"


def reference_page(manifest: Manifest, records: Sequence[Record], catalogue: Mapping[str, Experiment]) -> str:
    """The reference as Markdown."""
    return record_page(analyse(manifest, records, catalogue, read_ledger()))


def lacking(records: Sequence[Record], catalogue: Mapping[str, Experiment]) -> list[str]:
    """What these records lack of the catalogue: cells that did not run on any kernel, and facts
    that no answer has.
    """
    answered: dict[tuple[str, str], set[str]] = {}
    for record in records:
        answered.setdefault(record.question, set()).update(record.facts)
    found = []
    for experiment in catalogue.values():
        for variant in experiment.combinations():
            name = variant_name(variant)
            facts = answered.get((experiment.name, name))
            label = cell_label(experiment.name, name)
            if facts is None:
                found.append(f"{label} was not run")
            elif facts and (unanswered := [fact.name for fact in experiment.facts if fact.name not in facts]):
                found.append(f"{label} has no {', '.join(unanswered)}")
    return found
