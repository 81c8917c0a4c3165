from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.bisect.target import Target, parse_question, parse_target, parse_value
from matrix.report.words import in_words
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


def of(kind: type) -> Target:
    return parse_target("x:f", {"x": make_experiment("x", {"f": kind})})


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (bool, "yes", True),
        (bool, "no", False),
        (int, "7", 7),
        (int, "-7", -7),
        (str, "10 s", "10 s"),
        (str, "a=b: c", "a=b: c"),
        (str, "empty", ""),
        (list, "a, b", ["a", "b"]),
        (list, "none", []),
        (list, '["a, b"]', ["a, b"]),
        (dict, "SYN_SENT 7, x y 3", {"SYN_SENT": 7, "x y": 3}),
        (dict, "none", {}),
        (dict, '{"a": 7}', {"a": 7}),
    ],
)
def test_a_value_is_read_as_reports_show_it(kind: type, text: str, value: FactValue) -> None:
    assert parse_value(of(kind), text) == value
    target, asked = parse_question(f"x:f={text}", {"x": make_experiment("x", {"f": kind})})
    assert (target.label, asked) == ("x:f", value)


@given(st.one_of(st.integers(-(10**17), 10**17), st.booleans(), st.text("abc "), st.lists(st.text("ab ,"))))
def test_what_a_report_shows_or_json_says_is_the_same_value(value: FactValue) -> None:
    shown = json.dumps(value) if isinstance(value, list) else in_words(value)
    if not isinstance(value, str) or value == value.strip():
        assert parse_value(of(type(value)), shown) == value


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (bool, "1", "x:f cannot be '1'; give yes or no"),
        (int, "seven", "x:f cannot be 'seven'; give a number"),
        (list, "[1]", "give for example a, b"),
        (dict, "a", "give for example a 7, b 3"),
        (dict, '{"a": "b"}', "give for example a 7, b 3"),
    ],
)
def test_a_value_that_the_fact_cannot_have_is_refused(kind: type, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_value(of(kind), text)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["baseline:flows", "baseline=7", "flows=7", ""])
def test_a_question_without_a_fact_or_a_value_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give 'EXPERIMENT"):
        parse_question(text, CATALOGUE)
