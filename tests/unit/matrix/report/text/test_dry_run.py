from __future__ import annotations

from matrix.plan.plan import make_plan
from matrix.report.text.dry_run import plan_text
from tests.support.fakes import make_experiment, make_kernel


def test_the_plan_names_cells_and_a_command_for_each_kind_of_guest() -> None:
    experiments = [
        make_experiment("baseline", variants={"frontend": ("legacy", "nft")}),
        make_experiment("race", cpus=2),
    ]
    plan = make_plan([make_kernel("6.1.2")], experiments)
    assert (
        plan_text(plan, ["to fetch: 10 MB"], lambda kernel, has: f"qemu {kernel.name} -smp {has.cpus}")
        == "3 cells: 1 kernel, 2 experiments\n"
        "to fetch: 10 MB\n"
        "\n"
        "6.1.2 (debian:6.1.2=6.1.2-1): 3 cells\n"
        "  baseline x2, race\n"
        "\n"
        "qemu 6.1.2 -smp 1\n"
        "\n"
        "qemu 6.1.2 -smp 2\n"
    )
