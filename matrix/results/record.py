"""What one cell gave: its status, its facts, and the names of its evidence files."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

SCHEMA = 1
"""Version of the record's JSON form; raised when a reader of the old form would misread the new
one.
"""

ANSWERED = "answered"
"""The value of a cell as a whole that has facts. A cell without facts has its status instead."""

FactValue = bool | int | str | list[str] | dict[str, int]
"""What a fact may be. Measured durations never are: they become classes (`str`) or counts."""


class Status(StrEnum):
    """How a cell ended.

    `fail`: the kernel broke an invariant. `error`: we failed (boot, SSH, download, a bug in an
    experiment); such a cell is retried and never enters a comparison. `unsupported`: the kernel
    said it cannot, and `reason` holds its words. `unstable`: repeats of the cell disagreed.
    `crash`: the guest's kernel panicked or oopsed. `timeout`: the experiment did not end.
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
        """Whether the kernel did what no kernel should: `fail`, `crash` or `timeout`."""
        return self in (Status.FAIL, Status.CRASH, Status.TIMEOUT)

    @property
    def is_unexpected(self) -> bool:
        """Whether the user has to look at the cell: a failure, or `unstable`, which may hide
        one.
        """
        return self.is_failure or self is Status.UNSTABLE


@dataclass(frozen=True)
class Record:
    """One cell's outcome. `variant` maps a parameter's name to its value, in the order the
    experiment declares them.

    `evidence` names files in the cell's directory. `attempts` counts how often the cell was run to
    get here.
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
        """Whether both cells ended alike, with the same facts and, if `reason`, in the same
        words.
        """
        return (self.status, self.facts) == (other.status, other.facts) and not (
            reason and self.reason != other.reason
        )
