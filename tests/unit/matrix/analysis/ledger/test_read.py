from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from guest import catalogue
from matrix.analysis.ledger.contains import contains
from matrix.analysis.ledger.explain import unexercised
from matrix.analysis.ledger.read import read_ledger
from tests.support.builds import BUILDS
from vms.errors import UsageError

COMMITS = """
[surveyed]
"6.1" = "6.1.192"
[commits.fix]
title = "netfilter: a fix"
hash = "0123456789ab"
mainline = "6.3"
backports = ["6.1.20"]
confirmed = "changelog"
sentence = "It works."
"""
CHANGES = """
[[change]]
experiment = "table-full"
fact = "flows"
before = 10
after = 7
commit = "fix"
"""


def files(directory: Path, commits: str = COMMITS, changes: str = CHANGES) -> Path:
    (directory / "commits.toml").write_text(commits)
    (directory / "changes.toml").write_text(changes)
    return directory


def test_both_files_are_read(tmp_path: Path) -> None:
    ledger = read_ledger(files(tmp_path))
    (change,) = ledger.changes
    assert (change.experiment, change.fact, change.before, change.after) == ("table-full", "flows", 10, 7)
    assert change.commit is ledger.commits["fix"]
    assert change.commit.link == "https://git.kernel.org/torvalds/c/0123456789ab"
    assert ledger.surveyed == {"6.1": "6.1.192"}


def test_a_commit_without_a_hash_has_no_link(tmp_path: Path) -> None:
    assert (
        read_ledger(files(tmp_path, COMMITS.replace('hash = "0123456789ab"\n', ""))).commits["fix"].link == ""
    )


@pytest.mark.parametrize(
    ("text", "instead", "says"),
    [
        ("0123456789ab", "not-a-hash", "fix: 'not-a-hash' is not a hash"),
        ('mainline = "6.3"\n', "", "fix: give `mainline`, the first release"),
        ('"6.1.20"', '"6.3.1"', "fix: 6.3.1 is not a backport"),
        ("It works.", "", "fix: `sentence` must be"),
        ('"changelog"', '"hearsay"', "Invalid enum value 'hearsay'"),
        ("sentence", "sentense", "unknown field `sentense`"),
        ("[surveyed]", "[surveyed", "commits.toml"),
    ],
)
def test_an_error_in_a_commit_names_the_commit_and_the_problem(
    tmp_path: Path, text: str, instead: str, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_ledger(files(tmp_path, COMMITS.replace(text, instead)))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "instead", "says"),
    [
        ('"fix"', '"fox"', "entry 1, table-full: there is no commit 'fox'"),
        ("after = 7", "after = 10", "before and after are both 10"),
        ('fact = "flows"', 'item = "dccp"', "item 'dccp' without `fact`"),
    ],
)
def test_an_error_in_a_change_names_the_entry_and_the_problem(
    tmp_path: Path, text: str, instead: str, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_ledger(files(tmp_path, changes=CHANGES.replace(text, instead)))
    assert says in str(caught.value)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*commits\.toml"):
        read_ledger(tmp_path)


def test_every_commit_of_the_ledger_is_exercised_by_two_builds_or_has_a_reason() -> None:
    ledger = read_ledger()
    quiet = {key for key, commit in ledger.commits.items() if commit.unexercised}
    assert set(unexercised(ledger, BUILDS)) == quiet


def test_every_build_of_debian_is_known_to_hold_or_to_lack_every_commit() -> None:
    ledger = read_ledger()
    unknown = [
        (build.release, key)
        for build in BUILDS
        for key, commit in ledger.commits.items()
        if contains(build, commit, ledger.read) is None
    ]
    assert unknown == []


def test_every_entry_is_about_a_fact_and_a_variant_of_the_catalogue() -> None:
    known = catalogue.load()
    wrong = []
    for change in read_ledger().changes:
        experiment = known.get(change.experiment)
        if experiment is None:
            wrong.append(f"{change.experiment}: no such experiment")
        elif change.fact and change.fact not in {fact.name for fact in experiment.facts}:
            wrong.append(f"{change.experiment}: no fact {change.fact}")
        elif not all(value in experiment.variants.get(name, ()) for name, value in change.variant.items()):
            wrong.append(f"{change.experiment}: no variant {change.variant}")
    assert wrong == []


def test_long_term_kernels_carry_fixes_that_a_newer_stable_lacks() -> None:
    ledger = read_ledger()
    newest = list({build.series: build for build in BUILDS}.values())
    rows = [[contains(build, commit, ledger.read) for build in newest] for commit in ledger.commits.values()]
    assert sum((True, False) in itertools.pairwise(row) for row in rows) >= 5


def test_a_change_names_the_commits_without_which_it_does_nothing(tmp_path: Path) -> None:
    other = COMMITS.split("[commits.fix]")[1].replace("a fix", "another")
    changes = f'{CHANGES}besides = ["other"]\n'
    ledger = read_ledger(files(tmp_path, f"{COMMITS}[commits.other]{other}", changes))
    assert [commit.key for commit in ledger.changes[0].commits] == ["fix", "other"]
    with pytest.raises(UsageError, match="entry 1, table-full: there is no commit 'other'"):
        read_ledger(files(tmp_path, changes=changes))
