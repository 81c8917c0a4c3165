"""What one lock file means to two machines that hold nothing yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guest.catalogue import load
from matrix.analysis.ledger.read import read_ledger
from matrix.invocation import RunRequest, run_matrix
from matrix.plan.config import read_config
from matrix.plan.plan import plan_choices
from matrix.plan.selection import choose
from matrix.results.record import Status
from matrix.run.machines import Machines
from tests.support.fakes import Seen
from vms.cache import Cache
from vms.kernels import lock
from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import cached

pytestmark = pytest.mark.guest
ROOT = Path(__file__).parents[2]
SPEC = "6.12"
EXPERIMENT = "baseline[family=ipv4,frontend=nft,scope=user]"


def test_two_machines_with_the_same_lock_boot_the_same_bytes(tmp_path: Path) -> None:
    debian, path = read_config(ROOT / "matrix.toml").debian, tmp_path / "matrix.lock"
    lock.write(lock.make([SPEC], Catalogue.load(debian, Cache.default()), ROOT), path)
    # the userland is no part of the lock, and takes half a minute to build
    image = Machines(debian, Cache.default()).image
    booted = []
    for name in ("one", "other"):
        cache = Cache(tmp_path / name)
        (kernel,) = lock.kernels(lock.read(path), [SPEC], ROOT)
        assert not cached(kernel, cache)
        plan = plan_choices([kernel], choose([EXPERIMENT], load()))
        result = run_matrix(
            RunRequest(
                plan,
                load(),
                read_ledger(),
                Machines(debian, cache, "tcg", image=image),
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
