from __future__ import annotations

from vms.suggest import suggestion

MANY = [f"number-{number}" for number in range(20)]


def test_the_nearest_names_are_suggested_first() -> None:
    assert suggestion("tabel-full", ["table-full", "tcp-loose"]) == "did you mean table-full?"


def test_names_that_contain_the_word_are_suggested() -> None:
    known = ["sctp-states", "baseline", "sctp-heartbeat"]
    assert suggestion("sctp", known) == "did you mean sctp-states or sctp-heartbeat?"


def test_without_a_near_name_a_few_are_all_named_and_many_are_not() -> None:
    assert suggestion("x", ["auto", "tcg"]) == "there are auto, tcg"
    assert suggestion("x", ["auto"]) == "there is auto"
    assert suggestion("x", []) == "there are none"
    assert suggestion("x", MANY, "`list` shows all") == "`list` shows all"
