from __future__ import annotations

import pytest

from matrix.bisect.target import Target, parse_target
from matrix.results.record import FactValue, Record, Status
from tests.support.fakes import make_experiment
from vms.errors import UsageError

CATALOGUE = {
    "table-full": make_experiment(
        "table-full", {"flows": int, "mangle_packets": int}, variants={"scope": ("user", "root")}
    ),
    "baseline": make_experiment("baseline", {"flows": int}),
}


@pytest.mark.parametrize("text", ["table-full[scope=root]:mangle_packets", "baseline:flows"])
def test_a_target_is_named_as_it_was_written(text: str) -> None:
    assert parse_target(text, CATALOGUE).label == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("baseline", "'baseline': give 'EXPERIMENT[VARIANT]:FACT'"),
        ("baseline:", "'baseline:': give 'EXPERIMENT[VARIANT]:FACT'"),
        (":flows", "':flows': give 'EXPERIMENT[VARIANT]:FACT'"),
        ("baselin:flows", "there is no experiment 'baselin'; did you mean baseline?"),
        ("baseline:flow", "baseline has no fact 'flow'; did you mean flows?"),
        ("table-full[scope=roo]:flows", "scope is never 'roo'; did you mean root?"),
        ("*:flows", "means 2 experiments (table-full, baseline, ...); name one"),
        (
            "table-full:flows",
            "means 2 variants; name one, for example 'table-full[scope=user]:flows'",
        ),
    ],
)
def test_what_names_not_exactly_one_fact_is_refused_with_what_to_give(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text, CATALOGUE)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("status", "value"),
    [
        (Status.PASS, 7),
        (Status.FAIL, 7),
        (Status.UNSTABLE, None),
        (Status.CRASH, None),
        (Status.TIMEOUT, None),
    ],
)
def test_only_an_answer_that_is_the_kernels_own_and_stable_has_a_value(
    status: Status, value: FactValue | None
) -> None:
    target: Target = parse_target("baseline:flows", CATALOGUE)
    assert target.value(Record("6.1.9", "baseline", {}, status, {"flows": 7})) == value


def test_an_answer_without_facts_has_no_value() -> None:
    target = parse_target("baseline:flows", CATALOGUE)
    assert target.value(Record("6.1.9", "baseline", {}, Status.UNSUPPORTED)) is None
