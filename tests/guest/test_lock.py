"""What one lock file means to two machines that hold nothing yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guest.catalogue import load
from matrix.analysis.ledger.read import read_ledger
from matrix.invocation import RunRequest, run_matrix
from matrix.plan.plan import plan_choices
from matrix.plan.selection import choose
from matrix.results.record import Status
from matrix.run.machines import Machines
from tests.support.fakes import Seen
from tests.support.project import CONFIG, ROOT
from tests.support.specs import project_with, specs_of
from vms.cache import Cache
from vms.kernels import lock
from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import cached

pytestmark = pytest.mark.guest
SPEC = "6.12"
EXPERIMENT = "baseline[family=ipv4,frontend=nft,scope=user]"


def test_two_machines_with_the_same_lock_boot_the_same_bytes(cache: Cache, tmp_path: Path) -> None:
    debian, path = CONFIG.debian, tmp_path / "matrix.lock"
    lock.write(lock.make(specs_of([SPEC]), Catalogue.load(debian, cache), ROOT), path)
    # the userland is no part of the lock, and takes half a minute to build
    image = Machines(project_with(cache, debian)).image
    booted = []
    for name in ("one", "other"):
        empty = Cache(tmp_path / name)
        (kernel,) = lock.kernels(lock.read(path), specs_of([SPEC]), ROOT)
        assert not cached(kernel, empty)
        plan = plan_choices([kernel], choose([EXPERIMENT], load()))
        result = run_matrix(
            RunRequest(
                plan,
                load(),
                read_ledger(),
                Machines(project_with(empty, debian), "tcg", image=image),
                tmp_path / f"results-{name}",
                1,
                ("matrix",),
                Seen(),
            )
        )
        assert [record.status for record in result.analysis.records] == [Status.PASS]
        booted += json.loads((result.run / "manifest.json").read_bytes())["kernels"]
    one, other = booted
    assert one["id"] == other["id"]
    assert one["sha256"] == other["sha256"]
    locked = json.loads(path.read_bytes())["locked"][0]["kernels"][0]["packages"]
    assert {package["sha256"] for package in locked} == set(one["sha256"].values()) - {
        one["sha256"]["vmlinuz"]
    }
