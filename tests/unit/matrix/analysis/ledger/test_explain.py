from __future__ import annotations

from dataclasses import replace

from matrix.analysis import compare
from matrix.analysis.ledger.explain import (
    Explanation,
    Verdict,
    contradictions,
    explain,
    explain_change,
    unexercised,
)
from matrix.analysis.ledger.model import Change, Commit, Confirmed, Ledger
from matrix.results.record import FactValue, Record, Status
from tests.support.builds import build

OLD, LTS, STABLE, NEW = build("5.10.200-1"), build("6.1.100-1"), build("6.18.5-1"), build("7.3.4-1")
A = Commit("a", "t", Confirmed.SOURCE, "s.", mainline="6.0")
B = Commit("b", "t", Confirmed.CHANGELOG, "s.", mainline="7.0", backports=("6.1.50",))
C = Commit("c", "t", Confirmed.SOURCE, "s.", mainline="6.19")
FIRST = Change("x", A, "flows", before=10, after=7)
SECOND = Change("x", B, "flows", before=7, after=8)
SURVEYED = {"5.10": "5.10.262", "6.1": "6.1.192", "6.18": "6.18.15"}


def ledger(*changes: Change) -> Ledger:
    return Ledger({commit.key: commit for commit in (A, B, C)}, changes, SURVEYED)


def ask(
    known: Ledger, before: FactValue | None, after: FactValue | None, left: object = OLD, right: object = NEW
) -> Explanation:
    return explain(known, "x", {"scope": "user"}, "flows", left, before, right, after)  # type: ignore[arg-type]


def explained(*entries: Change) -> Explanation:
    return Explanation(Verdict.EXPLAINED, entries, commits=tuple(entry.commit for entry in entries))


def contradicted(*entries: Change) -> Explanation:
    return Explanation(Verdict.CONTRADICTED, entries, commits=tuple(entry.commit for entry in entries))


UNEXPLAINED = Explanation(Verdict.UNEXPLAINED)


def test_one_commit_explains_one_change() -> None:
    assert ask(ledger(FIRST), 10, 7) == explained(FIRST)


def test_a_change_is_explained_from_right_to_left_when_the_right_kernel_lacks_the_commit() -> None:
    assert ask(ledger(FIRST, SECOND), 8, 7, LTS, STABLE) == explained(SECOND)


def test_two_commits_explain_one_change_in_order() -> None:
    assert ask(ledger(SECOND, FIRST), 10, 8) == explained(FIRST, SECOND)


def test_a_change_without_an_entry_is_unexplained() -> None:
    assert ask(ledger(), 10, 7) == UNEXPLAINED
    assert ask(ledger(replace(FIRST, experiment="y"), replace(FIRST, fact="raw")), 10, 7) == UNEXPLAINED


def test_a_commit_that_both_kernels_hold_explains_nothing() -> None:
    assert ask(ledger(FIRST), 10, 7, STABLE, NEW) == UNEXPLAINED


def test_values_other_than_the_entrys_are_contradicted() -> None:
    assert ask(ledger(FIRST), 10, 6) == contradicted(FIRST)
    assert ask(ledger(FIRST), 7, 10) == contradicted(FIRST)


def test_an_entry_about_true_does_not_explain_1() -> None:
    entry = replace(FIRST, before=False, after=True)
    assert ask(ledger(entry), 0, 1) == contradicted(entry)


def test_a_kernel_of_which_nothing_is_known_is_neither_explained_nor_contradicted() -> None:
    assert ask(ledger(SECOND), 7, 8, build("6.6.100-1"), NEW) == UNEXPLAINED


def test_a_kernel_that_may_hold_the_commit_explains_what_it_shows_and_contradicts_nothing() -> None:
    known = replace(ledger(FIRST), seen={"5.17": "5.17.9"})
    for kernel in (build("5.10.200-1", "rpm"), build("5.17.9-1")):
        assert ask(known, 10, 7, kernel, NEW) == explained(FIRST)
        assert ask(known, 10, 6, kernel, NEW) == UNEXPLAINED


def test_an_entry_for_one_variant_does_not_explain_another() -> None:
    user, root = replace(FIRST, variant={"scope": "user"}), replace(FIRST, variant={"scope": "root"})
    assert ask(ledger(root), 10, 7) == UNEXPLAINED
    assert ask(ledger(root, user), 10, 7) == explained(user)


def test_a_list_is_explained_element_by_element() -> None:
    gone = Change("x", A, "flows", "dccp", True, None)
    new = Change("x", B, "flows", "netns", None, True)
    assert ask(ledger(gone, new), ["dccp", "tcp"], ["netns", "tcp"]) == explained(gone, new)


def test_elements_that_no_entry_explains_are_named() -> None:
    gone = Change("x", A, "flows", "dccp", True, None)
    assert ask(ledger(gone), ["dccp", "tcp"], ["tcp", "mystery"]) == Explanation(
        Verdict.UNEXPLAINED, (gone,), ("mystery",), (A,)
    )


def test_a_dict_is_explained_key_by_key() -> None:
    size = Change("x", A, "flows", "buckets", 65536, 262144)
    assert ask(ledger(size), {"buckets": 65536, "max": 1}, {"buckets": 262144, "max": 1}) == explained(size)
    assert ask(ledger(size), {"buckets": 65536}, {"buckets": 1024}) == contradicted(size)


def test_the_same_list_in_another_order_is_unexplained() -> None:
    assert ask(ledger(), ["a", "b"], ["b", "a"]) == UNEXPLAINED


def cell(status: Status, **facts: FactValue) -> Record:
    return Record("k", "x", {"scope": "user"}, status, facts)


def change(before: Record, after: Record) -> compare.Change:
    return compare.Change(before, after, compare.compare_cells(before, after)[0])


def test_a_cell_that_became_unsupported_is_explained_by_its_status() -> None:
    entry = Change("x", A, before="answered", after="unsupported")
    one = change(cell(Status.PASS, flows=1), cell(Status.UNSUPPORTED))
    assert explain_change(ledger(entry), one, OLD, NEW) == explained(entry)
    other = change(cell(Status.UNSUPPORTED), cell(Status.PASS, flows=1))
    assert explain_change(ledger(entry), other, OLD, NEW) == contradicted(entry)


def test_a_changed_fact_of_two_cells_is_explained_by_its_values() -> None:
    assert explain_change(
        ledger(FIRST), change(cell(Status.PASS, flows=10), cell(Status.FAIL, flows=7)), OLD, NEW
    ) == explained(FIRST)


def test_a_kernel_that_shows_the_predicted_value_contradicts_nothing() -> None:
    known = ledger(FIRST, SECOND)
    for kernel, flows in ((OLD, 10), (STABLE, 7), (LTS, 8), (NEW, 8)):
        assert contradictions(known, cell(Status.PASS, flows=flows), kernel) == ()


def test_a_kernel_that_shows_something_else_is_contradicted_though_its_neighbours_agree_with_it() -> None:
    found = contradictions(ledger(FIRST), cell(Status.PASS, flows=10), NEW)
    assert [(entry.entry, entry.shown, entry.expected) for entry in found] == [(FIRST, 10, 7)]
    assert contradictions(ledger(FIRST), cell(Status.PASS, flows=3), OLD)


def test_a_value_that_a_later_commit_changed_further_is_not_expected() -> None:
    assert contradictions(ledger(FIRST, SECOND), cell(Status.PASS, flows=7), NEW)
    assert contradictions(ledger(FIRST, SECOND), cell(Status.PASS, flows=7), OLD)


def test_a_commit_may_lead_back_to_where_an_earlier_one_began() -> None:
    back = Change("x", C, "flows", before=7, after=10)
    sideways = Change("x", B, "flows", before=7, after=8)
    known = ledger(FIRST, back, sideways)
    assert contradictions(known, cell(Status.PASS, flows=10), NEW) == ()
    assert contradictions(known, cell(Status.PASS, flows=8), LTS) == ()
    assert contradictions(known, cell(Status.PASS, flows=3), NEW)


def test_a_cell_without_facts_contradicts_only_entries_about_its_status() -> None:
    assert contradictions(ledger(FIRST), cell(Status.UNSUPPORTED), NEW) == ()
    entry = Change("x", A, before="answered", after="unsupported")
    assert contradictions(ledger(entry), cell(Status.PASS, flows=1), NEW)
    assert contradictions(ledger(entry), cell(Status.UNSUPPORTED), NEW) == ()


def test_error_and_unstable_cells_contradict_nothing() -> None:
    for status in (Status.ERROR, Status.UNSTABLE):
        assert contradictions(ledger(FIRST), cell(status, flows=3), NEW) == ()


def test_a_kernel_of_which_nothing_is_known_contradicts_nothing() -> None:
    assert contradictions(ledger(SECOND), cell(Status.PASS, flows=3), build("6.6.100-1")) == ()


def test_a_commit_is_exercised_by_two_builds_that_differ_in_it() -> None:
    assert unexercised(ledger(), [LTS, STABLE]) == ("a", "c")
    assert unexercised(ledger(), [OLD, LTS, NEW]) == ()


# B alone, in 6.1, does nothing; in 7.3, which also holds C, the flows are lost.
TOGETHER = Change("x", B, "flows", before=10, after=0, besides=(C,))


def test_a_change_that_takes_two_commits_is_explained_where_a_kernel_has_both() -> None:
    assert ask(ledger(TOGETHER), 10, 0) == Explanation(Verdict.EXPLAINED, (TOGETHER,), commits=(B, C))


def test_of_two_commits_only_the_one_that_made_the_difference_is_named() -> None:
    assert ask(ledger(TOGETHER), 10, 0, LTS, NEW) == Explanation(Verdict.EXPLAINED, (TOGETHER,), commits=(C,))


def test_a_kernel_with_one_of_two_commits_shows_what_a_kernel_without_both_does() -> None:
    known = ledger(TOGETHER)
    assert contradictions(known, cell(Status.PASS, flows=10), LTS) == ()
    (found,) = contradictions(known, cell(Status.PASS, flows=0), LTS)
    assert (found.shown, found.expected) == (0, 10)
    assert ask(known, 10, 0, OLD, LTS) == UNEXPLAINED
