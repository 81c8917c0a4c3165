"""The reference: one finished run, kept in git for people who only browse. Records and tables, without captures and logs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from guest.catalogue import Experiment
from matrix.ledger.read import read_ledger
from matrix.plan import variant_name
from matrix.record import Record, Status
from matrix.report.markdown import markdown
from matrix.store import read_run, write_whole
from matrix.table import make_table
from vms.errors import UsageError


def publish(run: Path, reference: Path, catalogue: Mapping[str, Experiment]) -> Path:
    """Makes the reference from a run and gives its page. Raises UsageError if the run is not whole, has an `error`, or lacks a cell."""
    manifest, records = read_run(run)
    lost = [record for record in records if record.status is Status.ERROR]
    missing = lacking(records, catalogue)
    if lost or missing:
        what = ", ".join([f"{record.experiment} on {record.kernel} is error" for record in lost] + missing)
        raise UsageError(f"{run} cannot be the reference: {what}; run ./invoke matrix again")
    for name in ("manifest.json", "results.json"):
        write_whole(reference / name, (run / name).read_bytes())
    page = reference / "README.md"
    write_whole(page, markdown(make_table(manifest, records, catalogue), read_ledger(), evidence=False).encode())
    return page


def lacking(records: list[Record], catalogue: Mapping[str, Experiment]) -> list[str]:
    """What the catalogue asks and these records do not answer: cells that no kernel was asked, and facts that no answer has."""
    answered: dict[tuple[str, str], set[str]] = {}
    for record in records:
        answered.setdefault((record.experiment, variant_name(record.variant)), set()).update(record.facts)
    found = []
    for experiment in catalogue.values():
        for variant in experiment.combinations():
            name = variant_name(variant)
            facts = answered.get((experiment.name, name))
            label = experiment.name + (f" [{name}]" if name else "")
            if facts is None:
                found.append(f"{label} is not asked")
            elif facts and (unanswered := [fact.name for fact in experiment.facts if fact.name not in facts]):
                found.append(f"{label} has no {', '.join(unanswered)}")
    return found
