"""The result of one cell: its status, its facts, and the names of its evidence files."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

SCHEMA = 1
"""Version of the JSON form of records and manifests.

Raised when a reader of the old form would misread the new one.
"""

ANSWERED = "answered"
"""The value of a cell as a whole that has facts. A cell without facts has its status instead."""

FactValue = bool | int | str | list[str] | dict[str, int]
"""The types of a fact. A measured duration is reported as a class (`str`) or a count."""


class Status(StrEnum):
    """How a cell ended.

    `fail`: the kernel broke an invariant. `error`: the tool failed (boot, SSH, download, a bug in
    an experiment); such a cell is run again and never compared. `unsupported`: the kernel lacks
    what the experiment needs, and `reason` holds the kernel's message. `unstable`: repeats of the
    cell disagreed. `crash`: the guest's kernel panicked or oopsed. `timeout`: the experiment did
    not end in time.
    """

    PASS = "pass"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    UNSTABLE = "unstable"
    CRASH = "crash"
    TIMEOUT = "timeout"
    ERROR = "error"

    @property
    def is_failure(self) -> bool:
        """Whether the status is `fail`, `crash` or `timeout`: the kernel is responsible."""
        return self in (Status.FAIL, Status.CRASH, Status.TIMEOUT)

    @property
    def is_unexpected(self) -> bool:
        """Whether the user has to look at the cell: a failure, or `unstable`, which may be one."""
        return self.is_failure or self is Status.UNSTABLE


@dataclass(frozen=True)
class Record:
    """The result of one cell.

    `variant` maps each parameter to its value, in the order of the experiment's declaration.
    `evidence` names files in the cell's directory. `attempts` counts how often the cell was run.
    """

    kernel: str
    experiment: str
    variant: dict[str, str]
    status: Status
    facts: dict[str, FactValue] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    evidence: tuple[str, ...] = ()
    attempts: int = 1
    schema: int = SCHEMA

    def same_answer(self, other: Record, *, reason: bool) -> bool:
        """Whether status and facts are equal and, if `reason` is set, the reasons too."""
        return (self.status, self.facts) == (other.status, other.facts) and not (
            reason and self.reason != other.reason
        )
