"""Asks experiments under controls, and keeps what those changed as proof that facts can differ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from guest.catalogue import Experiment
from guest.controls import CONTROLS, PARAMETER, UNDISTURBED
from matrix.analysis.controls import Controlled, Proven, proofs
from matrix.analysis.fact_value import frozen
from matrix.plan.plan import Cell
from matrix.results.judge import verdict
from matrix.results.latest import read_finished
from matrix.results.record import Record
from matrix.run.cell import Question, ask
from matrix.run.guests import Template
from matrix.run.idle import idle
from vms.errors import UsageError
from vms.files import write_whole
from vms.hardware import Hardware
from vms.kernels.kernel import Kernel

Ask = Callable[[Experiment, Mapping[str, str]], Record]
"""What an experiment answers in a variant, which may be one under a control."""


def seek(
    experiment: Experiment, variant: Mapping[str, str], facts: Collection[str], ask: Ask
) -> tuple[Controlled, ...]:
    """The first control that changes each of these facts, if any does.

    Controls are tried until none of the facts is left. A cell without facts proves nothing: under a
    control an experiment may well fail.
    """
    published = ask(experiment, under(UNDISTURBED, variant))
    left = [fact for fact in facts if fact in published.facts]
    found = []
    for name in CONTROLS:
        if name == UNDISTURBED or not left:
            continue
        answer = ask(experiment, under(name, variant))
        for fact in [fact for fact in left if fact in answer.facts]:
            before, after = published.facts[fact], answer.facts[fact]
            if frozen(before) != frozen(after):
                found.append(
                    Controlled(experiment.name, fact, name, answer.kernel, dict(variant), before, after)
                )
                left.remove(fact)
    return tuple(found)


def under(control: str, variant: Mapping[str, str]) -> dict[str, str]:
    """The variant under a control."""
    return {**variant, **CONTROLS[control].parameters, PARAMETER: control}


def published_variant(variants: Iterable[Mapping[str, str]]) -> Mapping[str, str]:
    """The variant that is asked under controls: the first of root's, if there is one."""
    return min(variants, key=lambda variant: variant.get("scope", "root") != "root")


class Asked:
    """Asks a kernel one question after another, in guests that answer many. `template` makes that
    of the kernel's guests with certain hardware.
    """

    def __init__(self, kernel: Kernel, template: Callable[[Hardware], Template]) -> None:
        self._kernel = kernel
        self._template = template
        self._made: dict[Hardware, Template] = {}

    def __call__(self, experiment: Experiment, variant: Mapping[str, str]) -> Record:
        """The record of one cell, asked once whatever comes of it."""
        cell = Cell(self._kernel, experiment, variant)
        if cell.hardware not in self._made:
            self._made[cell.hardware] = self._template(cell.hardware)
        return verdict(cell, ask(self._made[cell.hardware], Question.of(cell, own=False)), 1).record

    def close(self) -> None:
        """Ends the guests."""
        idle.end_all()


def proven(
    catalogue: Mapping[str, Experiment], reference: Path, controls: Sequence[Controlled]
) -> tuple[Proven, ...]:
    """What proves each fact of the catalogue: the reference run, or a control."""
    return proofs(catalogue, read_finished(reference)[1], controls)


def read_controls(path: Path) -> tuple[Controlled, ...]:
    """The proofs in a file; none if there is no file. Raises UsageError for one that is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Controlled, ...])
    except FileNotFoundError:
        return ()
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}: {error}; take it from git again") from error


def keep_controls(path: Path, found: Sequence[Controlled], catalogue: Mapping[str, Experiment]) -> None:
    """Adds proofs to a file, in the order of their names. Those of facts that the catalogue does
    not have are dropped.
    """
    declared = {
        (experiment.name, fact.name) for experiment in catalogue.values() for fact in experiment.facts
    }
    by_fact = {(one.experiment, one.fact): one for one in (*read_controls(path), *found)}
    kept = tuple(one for key, one in sorted(by_fact.items()) if key in declared)
    write_whole(path, b"[\n" + b",\n".join(map(msgspec.json.encode, kept)) + b"\n]\n")
