"""What was bisected becomes an entry of the ledger, or is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.analysis.ledger.explain import Verdict
from matrix.analysis.ledger.read import read_ledger
from matrix.bisect.entry import EntryCommit, parse_commit, write_entry
from matrix.bisect.outcome import Answered, Bisection, Interval
from matrix.bisect.search import Side
from matrix.results.record import FactValue, Status
from tests.support.fakes import make_kernel
from vms.errors import UsageError

COMMITS = """# How it is.
[surveyed]
"6.12" = "6.12.20"

[commits.first]
title = "netfilter: first"
mainline = "7.0"
backports = ["6.1.9"]
confirmed = "changelog"
sentence = "The first."

[commits.last]
title = "netfilter: last"
mainline = "7.0"
confirmed = "source"
sentence = "The last."
"""
TITLE = 'netfilter: use "UNACK" timeout'


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    (tmp_path / "commits.toml").write_text(COMMITS)
    (tmp_path / "changes.toml").write_text("# Changes.\n")
    return tmp_path


def found(
    left: str = "6.12.9", right: str = "6.12.12", old: FactValue = "10 s", new: FactValue = "1 s"
) -> Bisection:
    one = Answered(make_kernel(left), Side.OLD, Status.PASS, old)
    other = Answered(make_kernel(right), Side.NEW, Status.PASS, new)
    interval = Interval(one, other, (), Verdict.UNEXPLAINED, (), (), ())
    builds, meaning = (one, other), "its timeout"
    return Bisection(
        "rst",
        {"family": "ipv4"},
        "lifetime",
        "How?",
        meaning,
        old,
        new,
        builds,
        (interval,),
        0,
        False,
        1,
        2.0,
    )


@pytest.mark.parametrize("new", ["1 s", 7, ["a", 'b "c"'], {"a b": 3}, True])
def test_a_new_commit_is_written_with_the_release_that_holds_it(ledger: Path, new: FactValue) -> None:
    commit = write_entry(found(new=new, old=type(new)()), EntryCommit("unack", "7.1", TITLE), ledger)
    assert (commit.title, commit.mainline, commit.backports) == (TITLE, "7.1", ("6.12.12",))
    assert commit.confirmed == "bisected"
    (change,) = read_ledger(ledger).changes
    assert (change.before, change.after, change.variant) == (type(new)(), new, {"family": "ipv4"})
    assert (ledger / "commits.toml").read_text().startswith(COMMITS)


def test_a_change_by_debian_names_the_package(ledger: Path) -> None:
    commit = write_entry(found(), EntryCommit("config", "debian", "Enable it"), ledger)
    assert commit.distribution == (make_kernel("6.12.12").version,)


@pytest.mark.parametrize(("key", "backports"), [("first", ("6.1.9", "6.12.12")), ("last", ("6.12.12",))])
def test_a_known_commit_gets_the_release_and_other_commits_stay(
    ledger: Path, key: str, backports: tuple[str, ...]
) -> None:
    before = read_ledger(ledger).commits
    commit = write_entry(found(), EntryCommit(key), ledger)
    assert commit.backports == backports
    assert commit.confirmed == "bisected"
    after = read_ledger(ledger).commits
    assert {name: one for name, one in after.items() if name != key} == {
        name: one for name, one in before.items() if name != key
    }
    assert "# How it is." in (ledger / "commits.toml").read_text()


def test_where_the_right_build_lost_the_commit_the_values_are_the_other_way_round(ledger: Path) -> None:
    write_entry(found("6.1.9", "6.12.12"), EntryCommit("first"), ledger)
    (change,) = read_ledger(ledger).changes
    assert (change.before, change.after) == ("1 s", "10 s")
    assert (ledger / "commits.toml").read_text() == COMMITS


@pytest.mark.parametrize(
    ("bisection", "named", "message"),
    [
        (found(), EntryCommit("other"), "there is no commit 'other' in the ledger; give its first mainline"),
        (found(), EntryCommit("first", "7.0", "x"), "first is in the ledger; give its key alone"),
        (found("6.1.9", "6.1.10"), EntryCommit("first"), "do not differ in that commit"),
        (found("7.0.1", "7.0.2"), EntryCommit("unack", "6.9", "x"), "do not differ in that commit"),
    ],
)
def test_an_entry_that_would_not_explain_the_change_is_refused_and_nothing_is_written(
    ledger: Path, bisection: Bisection, named: EntryCommit, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        write_entry(bisection, named, ledger)
    assert (ledger / "commits.toml").read_text() == COMMITS
    assert (ledger / "changes.toml").read_text() == "# Changes.\n"


def test_what_the_ledger_explains_already_is_not_written_again(ledger: Path) -> None:
    whole = found()
    commit = read_ledger(ledger).commits["first"]
    explained = replace(whole.intervals[0], explained=Verdict.EXPLAINED, commits=(commit,))
    with pytest.raises(UsageError, match="explains this change already, by first"):
        write_entry(replace(whole, intervals=(explained,)), EntryCommit("last"), ledger)


def test_the_words_name_a_commit_or_are_refused() -> None:
    assert parse_commit("rst-unack") == EntryCommit("rst-unack")
    assert parse_commit("rst-unack=7.1~rc2 netfilter: a = b") == EntryCommit(
        "rst-unack", "7.1~rc2", "netfilter: a = b"
    )
    assert parse_commit("config=debian Enable it") == EntryCommit("config", "debian", "Enable it")
    for wrong in ("", "Key", "key=", "key=7.1", "key=soon netfilter: x", "a key"):
        with pytest.raises(UsageError, match="give the key of a commit in the ledger"):
            parse_commit(wrong)
