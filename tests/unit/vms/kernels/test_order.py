from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.packages import entry
from vms.kernels.order import (
    build_key,
    normal_release,
    release_key,
    release_of_version,
    series_of,
    version_key,
)

numbers = st.integers(0, 300)
releases = st.tuples(
    st.integers(3, 9), numbers, st.one_of(st.none(), numbers), st.one_of(st.none(), st.integers(1, 12))
)


def text(release: tuple[int, int, int | None, int | None]) -> str:
    major, minor, point, candidate = release
    if candidate is not None:
        return f"{major}.{minor}~rc{candidate}"
    return f"{major}.{minor}" + (f".{point}" if point is not None else "")


def meaning(release: tuple[int, int, int | None, int | None]) -> tuple[int, int, int, int]:
    """Where a release stands, worked out without any text."""
    major, minor, point, candidate = release
    if candidate is not None:
        return major, minor, -2, candidate
    return major, minor, -1 if point is None else point, 0


@given(releases, releases)
def test_releases_sort_by_their_numbers(
    one: tuple[int, int, int | None, int | None], other: tuple[int, int, int | None, int | None]
) -> None:
    assert (release_key(text(one)) < release_key(text(other))) == (meaning(one) < meaning(other))


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("0123456789.:_~-"), max_size=12))
@example("6.4.0_lp-1")
@example("x:1")
@example("6:")
def test_any_version_has_a_place(version: str) -> None:
    assert sorted([version_key("6.1"), version_key(version), release_key(version)])


def test_an_underscore_separates_numbers_as_a_dot_does() -> None:
    assert version_key("6.4.0_9") < version_key("6.4.0_10") < version_key("1:6.4.0_1")


@given(st.integers(3, 9), numbers, st.integers(1, 12))
def test_a_candidate_comes_before_its_release_however_it_is_spelt(
    major: int, minor: int, candidate: int
) -> None:
    release = f"{major}.{minor}"
    spellings = [
        f"{release}~rc{candidate}",
        f"{release}-rc{candidate}",
        f"{release}.0-rc{candidate}",
        f"v{release}-rc{candidate}",
    ]
    assert {normal_release(spelling) for spelling in spellings} == {f"{release}~rc{candidate}"}
    assert all(
        release_key(spelling) < release_key(release) < release_key(f"{release}.1") for spelling in spellings
    )


@given(releases, numbers, numbers)
def test_revisions_sort_within_a_release(
    release: tuple[int, int, int | None, int | None], one: int, other: int
) -> None:
    older, newer = sorted((one, other))
    assert version_key(f"{text(release)}-{older}") <= version_key(f"{text(release)}-{newer}")
    assert version_key(f"{text(release)}-{newer}~bpo12+1") < version_key(f"{text(release)}-{newer}")


@given(
    st.permutations(
        [
            "7.3~rc7-1~exp1",
            "6.12.9-1",
            "7.3.4-1~bpo13+1",
            "6.12.90-2",
            "5.10.262-1",
            "6.12.90-1",
            "6.12.10-1",
            "6.12.90-1~bpo12+1",
        ]
    )
)
def test_kernels_sort_alike_from_any_order(versions: list[str]) -> None:
    kernels = sorted((entry(f"{number}", version) for number, version in enumerate(versions)), key=build_key)
    assert [kernel.version for kernel in kernels] == [
        "5.10.262-1",
        "6.12.9-1",
        "6.12.10-1",
        "6.12.90-1~bpo12+1",
        "6.12.90-1",
        "6.12.90-2",
        "7.3~rc7-1~exp1",
        "7.3.4-1~bpo13+1",
    ]


@pytest.mark.parametrize(
    ("version", "release", "series"),
    [
        ("6.12.117-1", "6.12.117", "6.12"),
        ("6.12.90-2~bpo12+1", "6.12.90", "6.12"),
        ("7.3~rc7-1~exp1", "7.3~rc7", "7.3"),
        ("6.13.0-rc3-1", "6.13~rc3", "6.13"),
        ("5:6.8.0-41.41", "6.8.0", "6.8"),
        ("6.11.4-301.fc41", "6.11.4", "6.11"),
    ],
)
def test_release_and_series_are_read_from_a_package_version(version: str, release: str, series: str) -> None:
    assert release_of_version(version) == release
    assert series_of(release) == series
