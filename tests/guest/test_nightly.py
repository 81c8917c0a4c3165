"""Nights in a row on real kernels, with a kernel release between the first and the second: the lock
moves from one build to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from guest.catalogue import load
from matrix.analysis.ledger.explain import Verdict
from matrix.analysis.ledger.read import read_ledger
from matrix.baseline.baseline import Baseline, accept
from matrix.baseline.outcome import Night
from matrix.invocation import RunRequest
from matrix.nightly.nightly import nightly
from matrix.plan.plan import plan_choices
from matrix.plan.selection import choose
from matrix.report.text.night import summary
from matrix.results.directory import now
from matrix.results.latest import read_latest
from matrix.run.machines import Machines
from tests.support.fakes import Seen
from tests.support.project import CONFIG, ROOT
from tests.support.specs import kernels_of, project_with, specs_of
from vms.cache import Cache
from vms.kernels import lock
from vms.kernels.catalogue import Catalogue
from vms.kernels.order import release_key

pytestmark = pytest.mark.guest
SPECS = ("6.1", "6.12")
RELEASE = "6.12.117"
"""It brought the fix that the first experiment sees; the second sees nothing of it."""
EXPERIMENTS = ("dump-filter[family=ipv6,scope=root]", "table-full[family=ipv4,frontend=legacy,scope=root]")


@dataclass
class House:
    """One machine over several nights, all of them with one date: the next would ask a sample."""

    results: Path
    builds: Catalogue
    baseline: Baseline = field(default_factory=Baseline)
    today: date = field(default_factory=lambda: datetime.now(UTC).date())

    def night(self, held: lock.Lock) -> Night:
        catalogue = load()
        plan = plan_choices(
            lock.kernels(held, specs_of(SPECS), ROOT, self.builds), choose(EXPERIMENTS, catalogue)
        )
        since = tuple(kernel.name for kernel in lock.new_since(held, kernels_of(SPECS, self.builds, ROOT)))
        guests = Machines(project_with(Cache.default(), CONFIG.debian), catalogue=self.builds)
        request = RunRequest(
            plan,
            catalogue,
            read_ledger(),
            guests,
            self.results,
            2,
            ("nightly", "--locked"),
            Seen(),
        )
        return nightly(request, self.baseline, self.today, since_lock=since, locked=True)

    def accept(self) -> None:
        known = read_latest(self.results, self.baseline.known, pytest.fail)
        self.baseline = accept(self.baseline, known, "Ada", now(), "looked at")


def test_the_night_after_a_release_reports_what_the_release_changed_and_nothing_else(tmp_path: Path) -> None:
    builds = Catalogue.load(CONFIG.debian, Cache.default())
    series = kernels_of(["6.12.*"], builds, ROOT)
    older = [kernel for kernel in series if release_key(kernel.release) < release_key(RELEASE)][-1]
    newest = lock.make(specs_of(SPECS), builds, ROOT)
    # The lock as it was made when the older build was the series' newest.
    was = lock.Lock(
        tuple(
            lock.Locked(locked.spec, (older,)) if locked.spec == "6.12" else locked
            for locked in newest.locked
        )
    )
    house = House(tmp_path / "results", builds)

    first = house.night(was)
    assert (first.exit_code, first.counts, first.accepted) == (0, {"pass": 4}, None)
    assert first.new_kernels[1] == older.release
    assert f"newer than matrix.lock, so not run: {series[-1].release}" in summary(first)
    house.accept()

    second = house.night(newest)
    assert (second.new_kernels, second.new_experiments, second.since_lock) == ((series[-1].release,), (), ())
    assert {(item.earlier, item.later, item.experiment) for item in second.news} == {
        (older.name, series[-1].release, "dump-filter")
    }
    assert {(item.fact, item.before, item.after) for item in second.news} == {
        ("one", "2", "1"),
        ("nobody", "3", "0"),
        ("flush", "1", "2"),
    }
    assert {item.verdict for item in second.news} == {Verdict.EXPLAINED}
    assert (second.failures, second.waiting, second.exit_code) == ((), 0, 0)
    house.accept()

    third = house.night(newest)
    assert (third.run, third.news, third.exit_code) == ("", (), 0)
    assert summary(third).splitlines()[0].endswith(": nothing new")
