"""What a bisection and a verdict are about: one fact of one cell, as text on a command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from guest.catalogue import Experiment, Fact
from matrix.plan.plan import variant_name
from matrix.plan.selection import choose
from matrix.results.record import FactValue, Record, Status
from vms.errors import UsageError
from vms.program import COMMAND
from vms.suggest import suggestion

_QUESTION = re.compile(r"(?P<target>[^\[\]:]+(\[[^\[\]]*\])?:[^=:]+)=(?P<value>.*)", re.DOTALL)
_WORDS = {"yes": True, "no": False}
_FORM = "'EXPERIMENT[VARIANT]:FACT', for example 'inwindow-rst[family=ipv4,offset=inside]:lifetime'"


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


def parse_question(text: str, catalogue: Mapping[str, Experiment]) -> tuple[Target, FactValue]:
    """The fact and the value that `EXPERIMENT[VARIANT]:FACT=VALUE` names.

    Raises UsageError as `parse_target` and `parse_value`.
    """
    found = _QUESTION.fullmatch(text)
    if not found:
        raise UsageError(
            f"{text!r}: give 'EXPERIMENT[VARIANT]:FACT=VALUE', for example"
            " 'inwindow-rst[family=ipv4,offset=inside]:lifetime=10 s'"
        )
    target = parse_target(found["target"], catalogue)
    return target, parse_value(target, found["value"])


def parse_value(target: Target, text: str) -> FactValue:
    """A value as reports show it: `yes`, `7`, `10 s`, `a, b`, `SYN_SENT 7, UNREPLIED 3`, and `none`
    for a list or a map without items; lists and maps may also be JSON.

    Raises UsageError for one that the fact cannot have.
    """
    kind, words = target.fact.type, text.strip()
    if kind is bool and words in _WORDS:
        return _WORDS[words]
    if kind is int and re.fullmatch(r"-?\d{1,18}", words):
        return int(words)
    if kind is str:
        return "" if words == "empty" else words
    if kind in (list, dict):
        found = _items(kind, words)
        if found is not None:
            return found
    shown = {bool: "yes or no", int: "a number", list: "for example a, b", dict: "for example a 7, b 3"}
    raise UsageError(f"{target.label} cannot be {text!r}; give {shown[kind]}")


def _items(kind: type, words: str) -> FactValue | None:
    """A list or a map; None if that is neither as reports show it nor JSON."""
    if words[:1] in ("[", "{"):
        try:
            if kind is list:
                return msgspec.json.decode(words, type=list[str])
            return msgspec.json.decode(words, type=dict[str, int])
        except msgspec.DecodeError:
            return None
    parts = [] if words == "none" else words.split(", ")
    if kind is list:
        return parts
    pairs = [re.fullmatch(r"(?P<key>.+) (?P<number>-?\d{1,18})", part) for part in parts]
    return {pair["key"]: int(pair["number"]) for pair in pairs if pair} if all(pairs) else None
