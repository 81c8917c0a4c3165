"""Runs experiments with something taken away, and keeps what that changed as proof that their facts
can differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from guest.catalogue import CONTROLS
from matrix.analysis.controls import Controlled, changed
from matrix.plan.plan import Choice
from matrix.results.record import Record
from vms.files import write_whole

UNDISTURBED = "none"


def controlled(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """One variant of each experiment, that of root where there is one, as published and under every
    control.
    """
    found = []
    for choice in choices:
        variants = sorted(choice.variants, key=lambda variant: variant.get("scope", "root") != "root")
        found.append(replace(choice, variants=tuple({**variants[0], "control": name} for name in CONTROLS)))
    return tuple(found)


def keep_controls(records: Sequence[Record], path: Path) -> tuple[Controlled, ...]:
    """Writes what the controls of a run changed to a file; those of experiments that the run does
    not have are kept.
    """
    asked = {record.experiment for record in records}
    found = changed(records, UNDISTURBED)
    kept = [one for one in read_controls(path) if one.experiment not in asked]
    everything = tuple(sorted([*kept, *found], key=lambda one: (one.experiment, one.fact)))
    write_whole(path, b"[\n" + b",\n".join(map(msgspec.json.encode, everything)) + b"\n]\n")
    return everything


def read_controls(path: Path) -> tuple[Controlled, ...]:
    """The proofs in a file; none if there is no file."""
    return msgspec.json.decode(path.read_bytes(), type=tuple[Controlled, ...]) if path.exists() else ()
