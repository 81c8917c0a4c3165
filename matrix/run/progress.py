"""Progress of a run, reported to a display."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from matrix.results.record import Record, Status


class Phase(StrEnum):
    """The steps of a kernel in a run."""

    WAITING = "waiting"
    FETCHING = "fetching"
    BOOTING = "booting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def rank(self) -> int:
        """The position in the order of phases; a kernel's rank never decreases."""
        return tuple(Phase).index(self)


@dataclass
class KernelProgress:
    """Progress of one kernel.

    `seconds` holds how long each phase that has ended took; the current one started at `since`
    (`time.monotonic`). `message` says why the kernel failed.
    """

    name: str
    cells: int
    phase: Phase = Phase.WAITING
    done: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)
    message: str = ""

    def enter(self, phase: Phase) -> None:
        """Ends the current phase and starts another."""
        if phase is not self.phase:
            now = time.monotonic()
            self.seconds[self.phase] = self.seconds.get(self.phase, 0.0) + now - self.since
            self.phase, self.since = phase, now

    @property
    def elapsed(self) -> float:
        """Seconds since the current phase started."""
        return time.monotonic() - self.since


@dataclass(frozen=True)
class Overview:
    """How far a run is as a whole.

    `seconds_left` is an estimate, None while there is none. `changes` counts the cells that were
    found to differ from a neighbouring kernel, `unexplained` those of them that the ledger does not
    explain. `newest` describes the last changes, a line each, the newest first.
    """

    done: int
    cells: int
    seconds_left: float | None = None
    changes: int = 0
    unexplained: int = 0
    newest: tuple[str, ...] = ()


class Display(Protocol):
    """Shows the progress of a run. All calls come from the run's own thread."""

    def note(self, text: str) -> None:
        """Shows a line of text, such as which accelerator is used."""

    def changed(self, kernel: KernelProgress) -> None:
        """The kernel entered another phase."""

    def finished(self, record: Record) -> None:
        """A cell has ended with this record."""

    def overview(self, overview: Overview) -> None:
        """How far the run is; called a few times a second."""

    def tick(self) -> None:
        """Called a few times a second."""
