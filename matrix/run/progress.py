"""How far a run is, for whoever shows it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from matrix.results.record import Record, Status


class Phase(StrEnum):
    """What is being done for a kernel."""

    WAITING = "waiting"
    FETCHING = "fetching"
    BOOTING = "booting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def rank(self) -> int:
        """A kernel only ever goes on to a phase of a higher rank."""
        return tuple(Phase).index(self)


@dataclass
class KernelProgress:
    """One kernel's way through a run.

    `seconds` says how long each phase took or, for the current one, has taken since `since`.
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
        """Ends the current phase and begins another."""
        if phase is not self.phase:
            now = time.monotonic()
            self.seconds[self.phase] = self.seconds.get(self.phase, 0.0) + now - self.since
            self.phase, self.since = phase, now

    @property
    def elapsed(self) -> float:
        """Seconds in the current phase."""
        return time.monotonic() - self.since


class Display(Protocol):
    """Shows a run as it goes. All calls come from the run's own thread."""

    def note(self, text: str) -> None:
        """Something worth a line: which accelerator, a run that goes on."""

    def changed(self, kernel: KernelProgress) -> None:
        """The kernel entered another phase."""

    def finished(self, record: Record) -> None:
        """A cell has its record."""

    def tick(self) -> None:
        """Called a few times a second."""
