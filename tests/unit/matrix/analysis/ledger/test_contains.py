from __future__ import annotations

import pytest

from matrix.analysis.ledger.contains import contains, held_by_one
from matrix.analysis.ledger.model import Commit, Confirmed, Ledger
from tests.support.builds import build

SURVEYED = {"5.10": "5.10.262", "6.1": "6.1.192", "6.12": "6.12.118", "6.18": "6.18.15", "7.3": "7.3.4"}
FIX = Commit("fix", "t", Confirmed.CHANGELOG, "s.", mainline="7.1", backports=("5.10.259", "6.12.93"))
LATE = Commit("late", "t", Confirmed.CHANGELOG, "s.", mainline="7.4", backports=("6.12.117", "7.3.4"))
CANDIDATE = Commit("candidate", "t", Confirmed.SOURCE, "s.", mainline="7.3~rc5")
DEBIAN = Commit("debian", "t", Confirmed.CHANGELOG, "s.", distribution=("6.12.95-1", "7.1.1-1~exp1"))


@pytest.mark.parametrize(
    ("version", "held"),
    [
        ("5.10.257-1", False),
        ("5.10.259-1", True),
        ("5.10.262-1", True),
        ("6.12.92-1", False),
        ("6.12.118-1", True),
        ("6.18.15-1", False),
        ("7.1~rc1-1", None),
        ("7.1-1", True),
        ("7.2.6-1", True),
        ("7.3~rc7-1", True),
    ],
)
def test_a_backport_counts_within_its_series_only(version: str, held: bool | None) -> None:
    assert contains(build(version), FIX, SURVEYED) is held


def test_a_later_mainline_commit_is_in_the_older_series_that_has_the_backport() -> None:
    assert [
        contains(build(version), LATE, SURVEYED)
        for version in ("6.12.117-1", "7.3~rc7-1~exp1", "7.3.3-1", "7.3.4-1", "7.4-1")
    ] == [
        *(True, False, False),
        *(True, True),
    ]


def test_an_earlier_release_candidate_lacks_the_commit() -> None:
    assert contains(build("7.3~rc4-1"), CANDIDATE, SURVEYED) is False
    assert contains(build("7.3~rc7-1"), CANDIDATE, SURVEYED) is True
    assert contains(build("7.3.0-1"), CANDIDATE, SURVEYED) is True


def test_releases_compare_as_numbers() -> None:
    assert contains(build("5.10.1000-1"), FIX, SURVEYED) is True
    assert contains(build("5.10.30-1"), FIX, SURVEYED) is False


def test_a_series_that_was_not_read_is_not_known() -> None:
    assert contains(build("6.6.140-1"), FIX, SURVEYED) is None


def test_a_release_newer_than_what_was_read_is_not_known() -> None:
    assert contains(build("6.18.16-1"), FIX, SURVEYED) is None
    assert contains(build("6.1.193-1"), FIX, SURVEYED) is None


@pytest.mark.parametrize(
    ("version", "held"),
    [
        ("6.12.94-1", False),
        ("6.12.95-1~bpo12+1", True),
        ("6.12.107-1~deb12u1", True),
        ("6.18.15-1~bpo13+1", False),
        ("7.1.1-1~exp1", True),
        ("7.1~rc7-1", False),
        ("7.2.6-1~bpo13+1", True),
        ("5.10.262-1", False),
    ],
)
def test_a_change_by_debian_is_looked_up_by_package_version(version: str, held: bool) -> None:
    assert contains(build(version), DEBIAN, SURVEYED) is held


def test_debians_changes_say_nothing_of_other_kernels() -> None:
    assert contains(build("7.3.4-1", "tree"), DEBIAN, SURVEYED) is None
    assert contains(build("7.3.4-1", "tree"), FIX, SURVEYED) is True


def test_no_build_but_debians_is_known_to_lack_a_commit() -> None:
    ledger = Ledger({"fix": FIX}, (), SURVEYED, {"6.17": "6.17.13"})
    old, new = "6.12.50-1", "7.2.6-1"
    assert held_by_one(ledger, build(old), build(new)) == ([FIX], [])
    assert held_by_one(ledger, build(new), build(old)) == ([], [FIX])
    for unknown in (build(old, "rpm"), build(old, "tree"), build("6.17.13-1"), build("7.1~rc1-1")):
        assert held_by_one(ledger, unknown, build(new, "rpm")) == ([], [])
        assert held_by_one(ledger, build(new, "rpm"), unknown) == ([], [])
