from __future__ import annotations

from matrix.plan.plan import Choice, make_plan, plan_choices, variant_name
from tests.support.fakes import make_experiment, make_kernel


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


def test_a_plan_may_hold_some_variants_only() -> None:
    experiment = make_experiment(
        "baseline", variants={"frontend": ("legacy", "nft"), "scope": ("root", "user")}
    )
    plan = plan_choices(
        [make_kernel("5.10.1")], [Choice(experiment, ({"frontend": "nft", "scope": "user"},))]
    )
    assert [cell.key for cell in plan.cells] == [("5.10.1", "baseline", "frontend=nft,scope=user")]
    assert plan.experiments == (experiment,)


def test_the_name_of_a_variant() -> None:
    assert variant_name({"frontend": "nft", "scope": "user"}) == "frontend=nft,scope=user"
    assert variant_name({}) == ""
