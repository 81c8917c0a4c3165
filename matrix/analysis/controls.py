"""Which facts can take another value, and what proves it.

A fact that is the same whatever the kernel does says nothing. So each one is to be seen with two
values: on two kernels, in two variants, or on one kernel as published and with something taken
away (`guest.catalogue.CONTROLS`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from guest.catalogue import Experiment
from matrix.analysis.fact_value import frozen
from matrix.plan.plan import variant_name
from matrix.results.record import FactValue, Record


class Proof(StrEnum):
    """What shows that a fact can take another value, the best first."""

    KERNELS = "kernels"
    VARIANTS = "variants"
    CONTROL = "control"
    NONE = "none"


@dataclass(frozen=True)
class Proven:
    """A fact, and what shows that it can take another value.

    `where` names the two cells that differ: two kernels, or two variants; or the control.
    """

    experiment: str
    fact: str
    proof: Proof
    where: str = ""


@dataclass(frozen=True)
class Controlled:
    """A fact that a control changed on a kernel: its values as published and under the control."""

    experiment: str
    fact: str
    control: str
    kernel: str
    published: FactValue
    under_control: FactValue


def changed(records: Iterable[Record], undisturbed: str) -> tuple[Controlled, ...]:
    """What controls changed, each fact once, by records whose variants have a parameter `control`.

    Cells without facts prove nothing: under a control an experiment may well fail.
    """
    answered = [record for record in records if record.facts]
    published = {
        (record.kernel, record.experiment): record
        for record in answered
        if record.variant.get("control") == undisturbed
    }
    found: dict[tuple[str, str], Controlled] = {}
    for record in answered:
        other = published.get((record.kernel, record.experiment))
        for fact, value in record.facts.items():
            if other and fact in other.facts and _differ(fact, other, record):
                found.setdefault(
                    (record.experiment, fact),
                    Controlled(
                        record.experiment,
                        fact,
                        record.variant["control"],
                        record.kernel,
                        other.facts[fact],
                        value,
                    ),
                )
    return tuple(found.values())


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
        _proof(
            experiment.name,
            fact.name,
            answers.get(experiment.name, []),
            by_control.get((experiment.name, fact.name), ""),
        )
        for experiment in catalogue.values()
        for fact in experiment.facts
    )


def _proof(experiment: str, fact: str, records: list[Record], control: str) -> Proven:
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
    return Proven(experiment, fact, Proof.CONTROL if control else Proof.NONE, control)


def _differ(fact: str, one: Record, other: Record) -> bool:
    return frozen(one.facts[fact]) != frozen(other.facts[fact])
