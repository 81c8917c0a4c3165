from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from matrix.analysis.behaviour import COLOURS, behaviours, colour, letter
from matrix.analysis.compare import comparable, compare_cells
from matrix.results.record import FactValue, Record, Status
from vms.splats import Kind, Splat

VALUES: st.SearchStrategy[FactValue] = st.one_of(
    st.booleans(),
    st.integers(0, 2),
    st.sampled_from(["", "a"]),
    st.just(["a"]),
    st.just(["a", "b"]),
    st.just({"x": 1, "y": 2}),
    st.just({"y": 2, "x": 1}),
)
CELLS = st.one_of(
    st.none(),
    st.builds(
        lambda facts, status: Record("k", "e", {}, status, facts),
        st.fixed_dictionaries({"one": VALUES}),
        st.sampled_from([Status.PASS, Status.FAIL]),
    ),
    st.builds(
        lambda status, splats: Record("k", "e", {}, status, splats=tuple(splats)),
        st.sampled_from([Status.UNSUPPORTED, Status.CRASH, Status.TIMEOUT, Status.ERROR]),
        st.lists(
            st.sampled_from(
                [Splat(Kind.OOPS, "a", "a"), Splat(Kind.BUG, "b", "b"), Splat(Kind.STALL, "c", "c")]
            )
        ),
    ),
    st.just(Record("k", "e", {}, Status.UNSTABLE, {"one": 1})),
)


def of(*facts: FactValue) -> list[Record]:
    return [Record("k", "e", {}, Status.PASS, {"fact": value}) for value in facts]


def test_fixed_broken_fixed_has_the_first_letter_at_both_ends() -> None:
    assert [letter(number) for number in behaviours(of(7, 8, 7))] == ["A", "B", "A"]


def test_the_order_of_a_dicts_keys_is_no_behaviour() -> None:
    assert behaviours(of({"a": 1, "b": 2}, {"b": 2, "a": 1})) == (0, 0)


def test_pass_and_fail_with_equal_facts_are_one_behaviour() -> None:
    one, other = of(7, 7)
    assert behaviours([one, Record(other.kernel, "e", {}, Status.FAIL, other.facts)]) == (0, 0)


def test_letters_go_on_after_z() -> None:
    assert [letter(number) for number in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        "A",
        "Z",
        "AA",
        "AB",
        "AZ",
        "BA",
        "ZZ",
        "AAA",
    ]


@given(st.lists(CELLS, min_size=2, max_size=6))
def test_two_cells_look_alike_exactly_if_the_comparison_finds_no_change(cells: list[Record | None]) -> None:
    numbers = behaviours(cells)
    for (one, number), (other, second) in itertools.combinations(zip(cells, numbers, strict=True), 2):
        if comparable(one) and comparable(other):
            changed = any(difference.kind.is_change for difference in compare_cells(one, other))
            assert (number != second) == changed
        else:
            assert -1 in (number, second)


def test_the_ninth_behaviour_has_the_first_colour_and_a_cell_without_facts_has_no_colour() -> None:
    assert [colour(number) for number in range(len(COLOURS) + 1)] == [*COLOURS, COLOURS[0]]
    assert [(letter(number), colour(number)) for number in (-1, -2, -7)] == [("", "")] * 3
