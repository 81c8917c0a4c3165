from __future__ import annotations

import pytest

from matrix.plan import choose_experiments, make_plan, variant_name
from tests.unit.matrix.fakes import make_experiment, make_kernel
from vms.errors import UsageError

CATALOGUE = {name: make_experiment(name) for name in ("baseline", "table-full", "table-empty", "notrack")}


def test_a_plan_is_kernel_by_experiment_by_variant() -> None:
    kernels = [make_kernel("5.10.1"), make_kernel("6.1.2")]
    experiments = [
        make_experiment("baseline", variants={"frontend": ("legacy", "nft"), "scope": ("root", "user")}),
        make_experiment("plain"),
    ]
    plan = make_plan(kernels, experiments)
    assert [cell.key for cell in plan.of(kernels[1])] == [
        ("6.1.2", "baseline", "frontend=legacy,scope=root"),
        ("6.1.2", "baseline", "frontend=legacy,scope=user"),
        ("6.1.2", "baseline", "frontend=nft,scope=root"),
        ("6.1.2", "baseline", "frontend=nft,scope=user"),
        ("6.1.2", "plain", ""),
    ]
    assert len(plan.cells) == 10


def test_globs_choose_in_the_order_of_the_catalogue() -> None:
    chosen = choose_experiments(["table-*", "baseline", "table-full"], CATALOGUE)
    assert [experiment.name for experiment in chosen] == ["baseline", "table-full", "table-empty"]


def test_an_unknown_experiment_is_refused_with_near_names() -> None:
    with pytest.raises(UsageError, match=r"no experiment 'tabel-full'; did you mean table-full"):
        choose_experiments(["baseline", "tabel-full"], CATALOGUE)


def test_with_nothing_near_all_are_listed() -> None:
    with pytest.raises(UsageError, match="there are baseline, table-full, table-empty, notrack"):
        choose_experiments(["zzz*"], CATALOGUE)


def test_no_experiment_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="no experiments are chosen"):
        choose_experiments([], CATALOGUE)


def test_the_name_of_a_variant() -> None:
    assert variant_name({"frontend": "nft", "scope": "user"}) == "frontend=nft,scope=user"
    assert variant_name({}) == ""
