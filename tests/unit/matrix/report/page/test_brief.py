from __future__ import annotations

from bench import generate
from matrix.analysis.table import Row, make_table
from matrix.report.page.brief import brief
from matrix.results.record import FactValue, Record, Status

ENTRIES = generate.kernels(3)


def row(*facts: dict[str, FactValue] | Status) -> Row:
    records = [
        (
            Record(entry.name, "e", {}, each)
            if isinstance(each, Status)
            else Record(entry.name, "e", {}, Status.PASS, each)
        )
        for entry, each in zip(ENTRIES, facts, strict=False)
    ]
    (made,) = make_table(generate.manifest(ENTRIES[: len(facts)], ("e",)), records, {}).rows
    return made


def shown(*values: FactValue) -> tuple[str, ...]:
    """What cells show of a fact that has these values, kernel by kernel."""
    (line,) = brief(row(*({"fact": value} for value in values)))
    assert line.facts == ("fact",)
    return line.values


def test_counts_that_never_differ_stand_side_by_side() -> None:
    same: dict[str, FactValue] = {"packets": 10, "flows": 7, "states": {"SYN_SENT": 7}}
    assert [(line.facts, line.values) for line in brief(row(same, same))] == [
        (("packets", "flows"), ("10/7", "10/7"))
    ]


def test_what_differs_is_all_that_is_shown() -> None:
    lines = brief(row({"packets": 10, "flows": 7, "ok": True}, {"packets": 10, "flows": 8, "ok": False}))
    assert [(line.facts, line.values) for line in lines] == [
        (("flows",), ("7", "8")),
        (("ok",), ("yes", "no")),
    ]


def test_a_cell_without_facts_is_empty_and_one_without_this_fact_says_so() -> None:
    line, _ = brief(row({"one": 1, "two": 2}, Status.CRASH, {"two": 3}))
    assert line.values == ("1", "", "absent")


def test_of_lists_and_dicts_the_common_part_is_left_out() -> None:
    assert shown(["a", "b"], ["a", "c"]) == ("… b", "… c")
    assert shown(["a"], ["a", "c"]) == ("…", "… c")
    assert shown({"x": 1, "y": 2}, {"x": 1, "y": 3}) == ("… y 2", "… y 3")


def test_nothing_is_left_out_where_that_would_hide_the_difference() -> None:
    assert shown(["a", "b"], ["b", "a"]) == ("a, b", "b, a")
    assert shown([], ["a"], ["a", "a"]) == ("none", "a", "a, a")


def test_of_long_texts_the_common_beginning_is_left_out() -> None:
    assert shown(
        "nf_conntrack: table full, dropping packet", "nf_conntrack: table full in netns N", "ok"
    ) == (
        "…full, dropping packet",
        "…full in netns N",
        "ok",
    )


def test_a_long_text_that_alone_is_long_stays_whole() -> None:
    assert shown("TIME_WAIT 120 s", "TIME_WAIT 120 s", "CLOSE 10 s") == (
        "TIME_WAIT 120 s",
        "TIME_WAIT 120 s",
        "CLOSE 10 s",
    )
