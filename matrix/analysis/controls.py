"""Which facts can take another value, and what proves it.

A fact that is the same whatever the kernel does says nothing. So each one is to be seen with two
values: on two kernels, in two variants, or on one kernel as published and under a control
(`guest.controls`). Or it is a guard, and says why it is asked all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from guest.catalogue import Experiment, Fact
from matrix.analysis.fact_value import frozen
from matrix.plan.plan import variant_name
from matrix.results.record import FactValue, Record


class Proof(StrEnum):
    """What shows that a fact can take another value, the best first."""

    KERNELS = "kernels"
    VARIANTS = "variants"
    CONTROL = "control"
    GUARD = "guard"
    NONE = "none"


@dataclass(frozen=True)
class Proven:
    """A fact, and what shows that it can take another value.

    `where` names the two cells that differ: two kernels, or two variants; or the control. Of a
    guard it is the reason why the fact is asked all the same.
    """

    experiment: str
    fact: str
    proof: Proof
    where: str = ""


@dataclass(frozen=True)
class Controlled:
    """A fact that a control changed on a kernel: its values in a variant as published, and under
    the control.
    """

    experiment: str
    fact: str
    control: str
    kernel: str
    variant: dict[str, str]
    published: FactValue
    under_control: FactValue


def proofs(
    catalogue: Mapping[str, Experiment], records: Iterable[Record], controls: Iterable[Controlled] = ()
) -> tuple[Proven, ...]:
    """One for each fact of the catalogue, in its order."""
    by_control = {(one.experiment, one.fact): one.control for one in controls}
    answers: dict[str, list[Record]] = {}
    for record in records:
        if record.facts:
            answers.setdefault(record.experiment, []).append(record)
    return tuple(
        _by_reference(experiment.name, fact.name, answers.get(experiment.name, []))
        or _otherwise(experiment.name, fact, by_control.get((experiment.name, fact.name), ""))
        for experiment in catalogue.values()
        for fact in experiment.facts
    )


def _otherwise(experiment: str, fact: Fact, control: str) -> Proven:
    if control:
        return Proven(experiment, fact.name, Proof.CONTROL, control)
    return Proven(experiment, fact.name, Proof.GUARD if fact.guard else Proof.NONE, fact.guard)


def _by_reference(experiment: str, fact: str, records: list[Record]) -> Proven | None:
    known = [record for record in records if fact in record.facts]
    first: dict[str, Record] = {}
    for record in known:
        other = first.setdefault(variant_name(record.variant), record)
        if _differ(fact, other, record):
            return Proven(experiment, fact, Proof.KERNELS, f"{other.kernel}, {record.kernel}")
    first = {}
    for record in known:
        other = first.setdefault(record.kernel, record)
        if _differ(fact, other, record):
            names = (variant_name(other.variant), variant_name(record.variant))
            return Proven(experiment, fact, Proof.VARIANTS, "; ".join(names))
    return None


def _differ(fact: str, one: Record, other: Record) -> bool:
    return frozen(one.facts[fact]) != frozen(other.facts[fact])
