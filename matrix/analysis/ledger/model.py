"""The ledger: commits, and the changes of facts that they cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from matrix.results.record import FactValue


class Confirmed(StrEnum):
    """The evidence that a build holds a commit: a changelog, the sources of both sides, compiled
    modules, or a run of two builds.
    """

    CHANGELOG = "changelog"
    SOURCE = "source"
    MODULES = "modules"
    BISECTED = "bisected"


@dataclass(frozen=True)
class Commit:
    """One commit, and the releases that hold it.

    `mainline` is the first mainline release with the commit, `backports` the first stable release
    of each series; `distribution` names package versions instead, for a change by Debian. `hash` is
    empty if it could not be found. `unexercised` gives the reason if no pair of Debian's builds
    differs in this commit.
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
        """The commit's page; empty if its hash is not known."""
        return self.reference or (f"https://git.kernel.org/torvalds/c/{self.hash}" if self.hash else "")


@dataclass(frozen=True)
class Change:
    """What a commit does to a fact: `before` without the commit, `after` with it; None where the
    fact, or its item, is absent.

    `item` is one element of a list (True or None) or one key of a dict (its number or None); empty
    for the whole fact. An empty `fact` means the cell: `answered`, or the status of a cell without
    facts. `variant`: the parameters that a cell's variant must have. `besides`: other commits
    without which the commit does nothing to the fact.
    """

    experiment: str
    commit: Commit
    fact: str = ""
    item: str = ""
    before: FactValue | None = None
    after: FactValue | None = None
    variant: Mapping[str, str] = field(default_factory=dict)
    besides: tuple[Commit, ...] = ()

    @property
    def commits(self) -> tuple[Commit, ...]:
        """All commits that a kernel must hold to show what the change makes of the fact."""
        return (self.commit, *self.besides)

    def is_about(self, experiment: str, variant: Mapping[str, str]) -> bool:
        """Whether the change applies to the cell."""
        return self.experiment == experiment and self.variant.items() <= variant.items()


@dataclass(frozen=True)
class Ledger:
    """The whole ledger.

    `surveyed`: by series, the newest release whose commits were all read in changelogs. `seen`: the
    same for series without published changelogs, of which only compiled modules could be looked at:
    there, that a commit is missing is known from what cells show, or not at all.
    """

    commits: Mapping[str, Commit]
    changes: tuple[Change, ...]
    surveyed: Mapping[str, str]
    seen: Mapping[str, str] = field(default_factory=dict)

    @property
    def read(self) -> Mapping[str, str]:
        """Both, for what a cell's answer confirms."""
        return {**self.seen, **self.surveyed}
