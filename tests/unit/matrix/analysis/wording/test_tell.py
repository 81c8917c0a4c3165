from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest.catalogue import Experiment, load
from matrix.analysis.wording.declare import MOST_CHARACTERS, Facts, declared, words
from matrix.analysis.wording.tell import all_words, say, tell, tell_apart
from matrix.results.record import FactValue, Record, Status

CATALOGUE = load()
KINDS: Mapping[type, st.SearchStrategy[FactValue]] = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63),
    str: st.text(max_size=40),
    list: st.lists(st.text(max_size=40), max_size=5),
    dict: st.dictionaries(st.text(max_size=20), st.integers(-9, 9), max_size=5),
}


def record(facts: Mapping[str, FactValue], experiment: str = "max-zero") -> Record:
    return Record("6.12.9", experiment, {}, Status.PASS if facts else Status.CRASH, dict(facts))


def limit(**flows: int) -> Record:
    return record({"write": {"0": 1}, "read": {"1": 1}, "flows": {"0": 20, "1": 1, **flows}})


def facts_of(experiment: Experiment) -> st.SearchStrategy[dict[str, FactValue]]:
    return st.fixed_dictionaries({fact.name: KINDS[fact.type] for fact in experiment.facts})


def test_an_experiment_has_one_declaration() -> None:
    all_words()

    def max_zero(facts: Facts) -> str:
        return str(facts)

    with pytest.raises(ValueError, match="max-zero has words already"):
        words(max_zero)
    assert declared["max-zero"] is not max_zero


@given(st.data())
def test_no_answer_of_a_guest_breaks_the_words_or_makes_them_long(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(all_words())))
    text = say(record(data.draw(facts_of(CATALOGUE[name])), name))
    assert len(text) <= MOST_CHARACTERS
    assert text == text.strip()
    assert text.isprintable()


def test_equal_words_for_other_facts_are_marked() -> None:
    once, more, most = limit(), limit(**{"-1": 2}), limit(**{"-1": 3})
    assert tell([once, None, more, once, most, more]) == (
        "no limit", "", "no limit*", "no limit", "no limit**", "no limit*",
    )  # fmt: skip


def test_a_cell_without_facts_has_no_words_and_leaves_the_others_theirs() -> None:
    assert tell([record({}), limit()]) == ("", "no limit")


def test_a_row_has_no_words_if_one_cell_has_facts_that_they_do_not_know() -> None:
    assert say(record({"write": 7})) == ""
    assert tell([limit(), record({"write": 7})]) == ()


def test_an_experiment_that_declares_none_has_no_words() -> None:
    assert tell([record({"flows": 7}, "my-own")]) == ()


def test_a_long_text_of_a_guest_is_cut() -> None:
    long = {"state": "ESTABLISHED", "lifetime": "s" * 100}
    assert say(record(long, "inwindow-rst")) == "s" * (MOST_CHARACTERS - 1) + "…"


def test_both_sides_of_a_difference_have_words_that_tell_them_apart() -> None:
    old, new = record({"bytes": 320}, "slab-size"), record({"bytes": 256}, "slab-size")
    assert tell_apart([(old, new), (old, new)]) == ("320 bytes", "256 bytes")


def test_no_words_are_told_of_a_difference_that_they_do_not_show_or_not_in_all_variants() -> None:
    assert tell_apart([(limit(), limit(**{"-1": 2}))]) == ()
    assert tell_apart([(limit(), record({}))]) == ()
    small, big = record({"bytes": 1}, "slab-size"), record({"bytes": 2}, "slab-size")
    assert tell_apart([(small, big), (big, small)]) == ()
