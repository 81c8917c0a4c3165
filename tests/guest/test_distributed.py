"""One plan on this machine alone and on two workers, one of which has nothing in its cache and one
of which is killed on the way.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from guest.catalogue import load
from matrix.analysis.ledger.read import read_ledger
from matrix.dask.executor import connected
from matrix.dask.site import WorkerMachines
from matrix.invocation import Result, RunRequest, run_matrix
from matrix.plan.plan import Plan, plan_choices
from matrix.plan.selection import choose
from matrix.results.directory import cell_path
from matrix.results.record import Status
from matrix.run.machines import Machines
from tests.support.dask_site import Site
from tests.support.fakes import Seen
from tests.support.processes import children, gone
from tests.support.project import CONFIG, ROOT
from tests.support.specs import kernels_of, project_with
from vms.cache import Cache
from vms.errors import HostError
from vms.kernels.catalogue import Catalogue

pytestmark = pytest.mark.guest


@pytest.fixture(autouse=True)
def certificate_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="module")
def plan() -> Plan:
    kernels = kernels_of(("6.1", "6.12"), Catalogue.load(CONFIG.debian, Cache.default()), ROOT)
    return plan_choices(kernels, choose(["baseline[family=ipv4]", "table-full[family=ipv4]"], load()))


def run(plan: Plan, site: Site, results: Path, seen: Seen) -> Result:
    image = Machines(project_with(Cache.default(), CONFIG.debian)).image
    source = WorkerMachines(CONFIG.debian, "auto", offline=False, own_experiments="")
    with connected(site.address, source, lambda: image) as workers:
        return run_matrix(
            RunRequest(plan, load(), read_ledger(), workers, results, workers.slots, ("matrix",), seen)
        )


def answers(result: Result) -> dict[object, object]:
    return {
        (record.kernel, record.experiment, *record.variant.values()): (record.status, record.facts)
        for record in result.analysis.records
    }


class Killing(Seen):
    """Kills a worker once it runs guests and some cells are done."""

    def __init__(self, doomed: subprocess.Popen[str]) -> None:
        super().__init__()
        self.doomed = doomed
        self.orphans: list[int] = []

    def tick(self) -> None:
        if len(self.records) >= 3 and self.doomed.poll() is None:
            self.orphans = children(self.doomed.pid)
            if self.orphans:
                self.doomed.kill()


@pytest.mark.fault(
    phase="workers", fault="worker killed", outcome="the same facts as on one undisturbed machine"
)
def test_a_worker_dies_and_the_same_facts_come_out(plan: Plan, tmp_path: Path) -> None:
    with ExitStack() as held:
        site = Site(held)
        site.worker(XDG_CACHE_HOME=str(tmp_path / "cache"))
        seen = Killing(site.worker())
        far = run(plan, site, tmp_path / "far", seen)
        for record in far.analysis.records:
            assert (cell_path(far.run, record) / "conntrack.txt").stat().st_size
        assert seen.orphans, "the worker was not killed"
        assert all(map(gone, seen.orphans))
    near = run_matrix(
        RunRequest(
            plan,
            load(),
            read_ledger(),
            Machines(project_with(Cache.default(), CONFIG.debian)),
            tmp_path / "near",
            1,
            ("matrix",),
            Seen(),
        )
    )
    assert len(far.analysis.records) == len(plan.cells)
    assert {record.status for record in far.analysis.records} == {Status.PASS}
    assert answers(far) == answers(near)


def test_no_kernel_is_asked_where_the_code_is_another(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.dask.executor.code_digest", lambda: "another")
    with ExitStack() as held:
        site = Site(held)
        site.worker()
        with pytest.raises(HostError, match="has another version of this project"):
            run(plan, site, tmp_path, Seen())
    assert not list(tmp_path.glob("*/cells"))
