"""Which facts can take another value, and what proves it.

A fact that is the same whatever the kernel does says nothing. So each one is to be seen with two
values: on two kernels, in two variants, or never, and then it says why it stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from guest.catalogue import Experiment
from matrix.analysis.fact_value import frozen
from matrix.plan.plan import variant_name
from matrix.results.record import Record


class Proof(StrEnum):
    """What shows that a fact can take another value, the best first."""

    KERNELS = "kernels"
    VARIANTS = "variants"
    NONE = "none"


@dataclass(frozen=True)
class Proven:
    """A fact, and what shows that it can take another value.

    `where` names the two cells that differ: two kernels, or two variants.
    """

    experiment: str
    fact: str
    proof: Proof
    where: str = ""


def proofs(catalogue: Mapping[str, Experiment], records: Iterable[Record]) -> tuple[Proven, ...]:
    """One for each fact of the catalogue, in its order."""
    answers: dict[str, list[Record]] = {}
    for record in records:
        if record.facts:
            answers.setdefault(record.experiment, []).append(record)
    return tuple(
        _proof(experiment.name, fact.name, answers.get(experiment.name, []))
        for experiment in catalogue.values()
        for fact in experiment.facts
    )


def _proof(experiment: str, fact: str, records: list[Record]) -> Proven:
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
    return Proven(experiment, fact, Proof.NONE)


def _differ(fact: str, one: Record, other: Record) -> bool:
    return frozen(one.facts[fact]) != frozen(other.facts[fact])
