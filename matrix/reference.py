"""Publishes the reference: a finished run that is kept in git for readers, without captures and
logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from guest.catalogue import Experiment
from matrix.analysis.analysis import analyse
from matrix.analysis.ledger.read import read_ledger
from matrix.plan.plan import cell_label, variant_name
from matrix.report.text.markdown import markdown
from matrix.results.directory import json_bytes
from matrix.results.latest import read_finished
from matrix.results.manifest import Manifest
from matrix.results.record import Record, Status
from vms.errors import UsageError
from vms.files import write_whole


def publish(runs: Sequence[Path], reference: Path, catalogue: Mapping[str, Experiment]) -> Path:
    """Makes the reference from runs and returns its page; a later run's experiments replace those
    of an earlier one.

    Raises UsageError if the runs are of different kernels, or if together they have an `error` or
    lack a cell.
    """
    manifest, records = together([read_finished(run) for run in runs])
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
    records = [record for record in records if record.experiment in catalogue]
    write_whole(reference / "manifest.json", json_bytes(manifest, indent=2))
    write_whole(
        reference / "results.json", b"[\n" + b",\n".join(map(msgspec.json.encode, records)) + b"\n]\n"
    )
    page = reference / "README.md"
    write_whole(page, reference_page(manifest, records, catalogue).encode())
    return page


def reference_page(manifest: Manifest, records: Sequence[Record], catalogue: Mapping[str, Experiment]) -> str:
    """The reference as Markdown."""
    return markdown(analyse(manifest, records, catalogue, read_ledger()), evidence=False)


def together(runs: Sequence[tuple[Manifest, list[Record]]]) -> tuple[Manifest, list[Record]]:
    """Joins runs of the same kernels: the last manifest, named after all runs, and the newest
    answers of each experiment.
    """
    manifest, _ = runs[-1]
    newest: dict[str, list[Record]] = {}
    for other, records in runs:
        if {kernel.id for kernel in other.kernels} != {kernel.id for kernel in manifest.kernels}:
            raise UsageError(f"runs {other.run} and {manifest.run} are of different kernels")
        newest |= {
            name: [record for record in records if record.experiment == name]
            for name in {r.experiment for r in records}
        }
    names = tuple(dict.fromkeys(name for other, _ in runs for name in other.experiments))
    # Without a number: where it is read it is older than all runs there.
    whole = replace(manifest, run=" and ".join(other.run for other, _ in runs), experiments=names, number=0)
    return whole, [record for name in sorted(newest) for record in newest[name]]


def lacking(records: Sequence[Record], catalogue: Mapping[str, Experiment]) -> list[str]:
    """What these records lack of the catalogue: cells that did not run on any kernel, and facts
    that no answer has.
    """
    answered: dict[tuple[str, str], set[str]] = {}
    for record in records:
        answered.setdefault((record.experiment, variant_name(record.variant)), set()).update(record.facts)
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
