from __future__ import annotations

from dataclasses import replace

from matrix.plan.plan import make_plan
from matrix.run.forecast import IMAGE_FETCHED, forecast
from tests.support.fakes import make_experiment, make_kernel

KERNELS = [make_kernel("6.1.2"), make_kernel("6.12.9")]  # of 10 MB each
PLAN = make_plan(
    KERNELS, [make_experiment("one"), make_experiment("race", cpus=2), make_experiment("w", waits=True)]
)


def test_with_all_in_the_cache_a_run_takes_as_long_as_its_cells_that_compute() -> None:
    found = forecast(PLAN, [], image=False, measured=lambda _cell: 3.0, jobs=2)
    assert (found.fetch, found.hold, found.kernels, found.seconds) == (0, 0, 0, 2 * 2 * 3.0 / 2)


def test_a_kernel_that_is_missing_is_fetched_unpacked_and_booted_for_each_number_of_cpus() -> None:
    warm = forecast(PLAN, [], image=False, measured=lambda _cell: 1.0, jobs=1)
    found = forecast(PLAN, KERNELS[:1], image=False, measured=lambda _cell: 1.0, jobs=1)
    assert (found.kernels, found.fetch) == (1, 10_000_000)
    assert 10_000_000 + 2 * 200_000_000 < found.hold < 10_000_000 * 5 + 2 * 300_000_000
    assert 2 * 10 < found.seconds - warm.seconds < 2 * 20


def test_the_first_run_also_fetches_and_builds_the_image() -> None:
    without = forecast(PLAN, KERNELS, image=False, measured=lambda _cell: None, jobs=2)
    found = forecast(PLAN, KERNELS, image=True, measured=lambda _cell: None, jobs=2)
    assert found.fetch == without.fetch + IMAGE_FETCHED
    assert found.hold > without.hold
    assert found.seconds > without.seconds


def test_a_kernel_of_this_machine_is_not_fetched() -> None:
    own = replace(KERNELS[0], id="tree:../linux")
    found = forecast(make_plan([own], PLAN.experiments), [own], image=False, measured=lambda _c: 1.0, jobs=2)
    assert (found.kernels, found.fetch) == (0, 0)
    assert found.hold > 0


def test_a_variant_with_two_cpus_needs_a_template_of_its_own() -> None:
    deferred = make_experiment("deferred", variants={"cpus": ("1", "2")})
    plan = make_plan(KERNELS[:1], [deferred])
    found = forecast(plan, KERNELS[:1], image=False, measured=lambda _cell: 1.0, jobs=1)
    one = forecast(
        make_plan(KERNELS[:1], [make_experiment("one")]),
        KERNELS[:1],
        image=False,
        measured=lambda _cell: 1.0,
        jobs=1,
    )
    assert 10 < found.seconds - one.seconds - 1 < 20
