"""What a bisection found: what `./invoke bisect --json` prints and its report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from matrix.analysis.ledger.explain import Verdict as Explained
from matrix.analysis.ledger.model import Commit
from matrix.bisect.search import Side
from matrix.results.record import FactValue, Status
from vms.kernels.kernel import Build

SCHEMA = 1
"""Version of the JSON."""


@dataclass(frozen=True)
class Answered:
    """One build of the range.

    `status` is None for a build that was not asked. `value` is None where the answer has no such
    fact; `reason` says why. `run` names the run that asked; `recorded` is whether that was an
    earlier one.
    """

    build: Build
    verdict: Side | None = None
    status: Status | None = None
    value: FactValue | None = None
    reason: str = ""
    run: str = ""
    recorded: bool = False


@dataclass(frozen=True)
class Interval:
    """Two builds between which the answer changes, and builds between them that have neither.

    `explained` is the ledger's verdict on this change, `commits` what it names for it. `gained` and
    `lost` are the other commits of the ledger that only the right or only the left build holds, as
    far as that is known. `candidates` are titles in the right build's changelog that name what the
    experiment is about, the best first, of `titles` in all; `no_changelog` says why there are none.
    """

    left: Answered
    right: Answered
    unknown: tuple[Answered, ...]
    explained: Explained
    commits: tuple[Commit, ...]
    gained: tuple[Commit, ...]
    lost: tuple[Commit, ...]
    candidates: tuple[str, ...] = ()
    titles: int = 0
    no_changelog: str = ""


@dataclass(frozen=True)
class Bisection:
    """Where a fact changes between two builds.

    `intervals` are in the order of kernels; more than one means that the fact changed there and
    back. `found` is the place of the one that was asked for: the last, after which all builds that
    answered are like the newest, or with `find_fix` the first, which ends what the oldest shows.
    `steps` counts how often guests were started for this, `seconds` how long that took. `run` is
    the run that asked, empty if all was on record.
    """

    experiment: str
    variant: dict[str, str]
    fact: str
    question: str
    meaning: str
    old: FactValue
    new: FactValue
    builds: tuple[Answered, ...]
    intervals: tuple[Interval, ...]
    found: int
    find_fix: bool
    steps: int
    seconds: float
    run: str = ""
    schema: int = SCHEMA

    @property
    def asked(self) -> int:
        """How many builds were asked by this bisection, and not on record."""
        return sum(one.status is not None and not one.recorded for one in self.builds)

    @property
    def recorded(self) -> int:
        """How many answers of earlier runs were taken."""
        return sum(one.recorded for one in self.builds)

    @property
    def unasked(self) -> int:
        """How many builds of the range were not asked and are not on record."""
        return sum(one.status is None for one in self.builds)
