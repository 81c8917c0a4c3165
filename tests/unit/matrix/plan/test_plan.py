from __future__ import annotations

from matrix.plan.plan import Choice, make_plan, plan_choices, variant_name
from tests.support.fakes import make_experiment, make_kernel
from vms.hardware import Hardware


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


def test_a_variant_may_say_what_hardware_its_guest_has() -> None:
    sized = make_experiment("sized", variants={"memory": ("512", "2048"), "avx2": ("off", "on")})
    cells = make_plan([make_kernel("6.1.2")], [sized, make_experiment("race", cpus=2)]).cells
    assert [cell.hardware for cell in cells] == [
        Hardware(512, avx2="off"),
        Hardware(512, avx2="on"),
        Hardware(2048, avx2="off"),
        Hardware(2048, avx2="on"),
        Hardware(cpus=2),
    ]


def test_the_name_of_a_variant() -> None:
    assert variant_name({"frontend": "nft", "scope": "user"}) == "frontend=nft,scope=user"
    assert variant_name({}) == ""
