"""What a bisection and a verdict are about: one fact of one cell, as text on a command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guest.catalogue import Experiment, Fact
from matrix.plan.plan import variant_name
from matrix.plan.selection import choose
from matrix.results.record import FactValue, Record, Status
from vms.errors import UsageError
from vms.program import COMMAND
from vms.suggest import suggestion

_FORM = "'EXPERIMENT[VARIANT]:FACT', for example 'max-zero[scope=root]:write'"


@dataclass(frozen=True)
class Target:
    """One fact of one experiment in one variant."""

    experiment: Experiment
    variant: Mapping[str, str]
    fact: Fact

    @property
    def label(self) -> str:
        """As the command line has it."""
        variant = variant_name(self.variant)
        return f"{self.experiment.name}{f'[{variant}]' if variant else ''}:{self.fact.name}"

    def value(self, record: Record) -> FactValue | None:
        """The fact in this answer; None without one, and where the answer may be the host's doing
        or a race's.
        """
        if record.status not in (Status.PASS, Status.FAIL):
            return None
        return record.facts.get(self.fact.name)


def parse_target(text: str, catalogue: Mapping[str, Experiment]) -> Target:
    """The fact that `EXPERIMENT[VARIANT]:FACT` names.

    Raises UsageError, with the nearest names, unless it names exactly one fact of one variant.
    """
    cell, colon, name = text.rpartition(":")
    if not colon or not cell or not name:
        raise UsageError(f"{text!r}: give {_FORM}")
    choices = choose([cell], catalogue)
    if len(choices) > 1:
        names = ", ".join(choice.experiment.name for choice in choices[:3])
        raise UsageError(f"{cell!r} means {len(choices)} experiments ({names}, ...); name one")
    experiment, variants = choices[0].experiment, choices[0].variants
    facts = {fact.name: fact for fact in experiment.facts}
    if name not in facts:
        listing = f"its facts are {', '.join(facts)}"
        raise UsageError(f"{experiment.name} has no fact {name!r}; {suggestion(name, facts, listing)}")
    if len(variants) > 1:
        raise UsageError(
            f"{cell!r} means {len(variants)} variants; name one, for example"
            f" '{experiment.name}[{variant_name(variants[0])}]:{name}' (`{COMMAND} experiments` lists them)"
        )
    return Target(experiment, variants[0], facts[name])
