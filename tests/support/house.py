"""One machine that runs nights in sequence, with kernels and answers that a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from guest.catalogue import Experiment
from matrix import invocation
from matrix.analysis.ledger.model import Change as Entry
from matrix.analysis.ledger.model import Commit, Confirmed, Ledger
from matrix.baseline.baseline import Baseline, accept
from matrix.baseline.outcome import Night
from matrix.invocation import Result, RunRequest, run_matrix
from matrix.nightly.nightly import nightly
from matrix.plan.plan import make_plan
from matrix.results import manifest
from matrix.results.latest import read_latest
from tests.support.fakes import FakeGuests, Seen, answer, make_experiment, make_kernel
from vms.answer import Answer
from vms.errors import LostGuest

FIRST = date(2026, 11, 1)
COMMIT = Commit(
    "fewer-drops",
    "netfilter: drop less",
    Confirmed.CHANGELOG,
    "More packets are dropped.",
    hash="b12fa46b12fa46",
    mainline="7.0",
    backports=("6.1.6",),
)
LEDGER = Ledger(
    {COMMIT.key: COMMIT},
    tuple(Entry("table-full", COMMIT, "drops", before=3, after=after) for after in (4, 5)),
    {"6.1": "6.1.9", "6.12": "6.12.9"},
)


@dataclass
class House:
    """One machine over several nights.

    `says` gives the facts of a kernel; `asked` collects what was really run and `notes` what was
    said, night by night.
    """

    results: Path
    clock: Callable[[date], None]
    kernels: list[str] = field(default_factory=lambda: ["5.10.1", "6.1.5", "6.12.9"])
    experiments: list[Experiment] = field(
        default_factory=lambda: [make_experiment("table-full", {"flows": int, "drops": int})]
    )
    says: Callable[[str, str], dict[str, Any]] = lambda _kernel, _experiment: {"flows": 7, "drops": 3}
    baseline: Baseline = field(default_factory=Baseline)
    since_lock: tuple[str, ...] = ()
    locked: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def night(self, number: int) -> Night:
        today = FIRST + timedelta(days=number)
        request = self._request(today)
        return nightly(request, self.baseline, today, since_lock=self.since_lock, locked=self.locked)

    def matrix(self, number: int) -> Result:
        """What `./invoke matrix` does on that day."""
        return run_matrix(self._request(FIRST + timedelta(days=number)))

    def _request(self, today: date) -> RunRequest:
        self.clock(today)
        self.asked = []
        self.notes.clear()

        def behaviour(kernel: str, request: dict[str, Any]) -> Answer:
            if kernel in self.lost:
                raise LostGuest(f"{kernel} went away")
            self.asked.append((kernel, request["experiment"]))
            return answer(request, facts=self.says(kernel, request["experiment"]))

        plan = make_plan([make_kernel(name) for name in self.kernels], self.experiments)
        catalogue = {experiment.name: experiment for experiment in self.experiments}
        return RunRequest(
            plan,
            catalogue,
            LEDGER,
            FakeGuests(behaviour),
            self.results,
            1,
            ("nightly",),
            Seen(self.notes),
            code=dict.fromkeys(catalogue, "the same code"),
        )

    def accept(self) -> None:
        known = read_latest(self.results, self.baseline.known, pytest.fail)
        self.baseline = accept(self.baseline, known, "Ada", "2026-11-01T09:00:00+00:00", "looked at")


def open_house(results: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A machine without a run yet; its clock shows two o'clock of the day that a night is for."""

    def clock(today: date) -> None:
        at = datetime(today.year, today.month, today.day, 2, tzinfo=UTC)
        monkeypatch.setattr(invocation, "now", lambda: at.isoformat(timespec="seconds"))
        monkeypatch.setattr(
            manifest, "datetime", type("Clock", (datetime,), {"now": staticmethod(lambda _zone: at)})
        )

    return House(results, clock)
