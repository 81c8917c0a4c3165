"""What the ledger is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from matrix.results.record import FactValue


class Confirmed(StrEnum):
    """What it rests on that a build holds a commit: a changelog, the sources of both sides,
    compiled modules, or two builds run.
    """

    CHANGELOG = "changelog"
    SOURCE = "source"
    MODULES = "modules"
    BISECTED = "bisected"


@dataclass(frozen=True)
class Commit:
    """One commit, and the releases that hold it.

    `mainline` is the first mainline release that does, `backports` the stable releases;
    `distribution` names package versions instead, for a change that Debian made. `hash` is empty
    where it could not be found. `unexercised` says why no pair of Debian's builds differs in this
    commit.
    """

    key: str
    title: str
    confirmed: Confirmed
    sentence: str
    hash: str = ""
    mainline: str = ""
    backports: tuple[str, ...] = ()
    distribution: tuple[str, ...] = ()
    reference: str = ""
    unexercised: str = ""

    @property
    def link(self) -> str:
        """Where to read it; empty if its hash is not known."""
        return self.reference or (f"https://git.kernel.org/torvalds/c/{self.hash}" if self.hash else "")


@dataclass(frozen=True)
class Change:
    """What a commit does to a fact: `before` without it, `after` with it; None where the fact, or
    the item of it, is then not there.

    `item` is one element of a list (True or None) or one key of a dict (its number or None); empty
    for the fact as a whole. An empty `fact` is the cell: `answered`, or the status it has without
    facts. `variant` holds what a cell's variant must have to be meant.
    """

    experiment: str
    commit: Commit
    fact: str = ""
    item: str = ""
    before: FactValue | None = None
    after: FactValue | None = None
    variant: Mapping[str, str] = field(default_factory=dict)

    def is_about(self, experiment: str, variant: Mapping[str, str]) -> bool:
        """Whether this says something of that cell."""
        return self.experiment == experiment and self.variant.items() <= variant.items()


@dataclass(frozen=True)
class Ledger:
    """All of it. `surveyed` maps a series to the newest of its releases whose commits were read."""

    commits: Mapping[str, Commit]
    changes: tuple[Change, ...]
    surveyed: Mapping[str, str]
