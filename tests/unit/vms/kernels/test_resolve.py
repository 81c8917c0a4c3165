from __future__ import annotations

import pytest

from tests.support.packages import catalogue_of, entry
from tests.support.specs import kernels_of
from vms.errors import UsageError
from vms.kernels.catalogue import Catalogue, Incomplete
from vms.kernels.resolve import nearest

CATALOGUE = catalogue_of(
    entry("5.10.0-46", "5.10.262-1"),
    entry("6.1.0-55", "6.1.192-1"),
    entry("6.1.0-56", "6.1.192-2"),
    entry("6.1.0-50", "6.1.176-1"),
    entry("6.12.9+deb13", "6.12.9-1"),
    entry("6.12.90+deb12", "6.12.90-1~bpo12+1"),
    entry("6.12.90+deb13", "6.12.90-1"),
    entry("6.12.117+deb13", "6.12.117-1"),
    entry("6.12.117+deb13", "6.12.117-1", "generic"),
    entry("7.3", "7.3~rc7-1~exp1"),
    entry("7.3.4+deb13", "7.3.4-1~bpo13+1"),
    entry("7.3.4+deb13", "7.3.4-1~bpo13+1", "rt"),
)


def names(*specs: str) -> list[str]:
    return [kernel.name for kernel in kernels_of(specs, CATALOGUE)]


def versions(*specs: str) -> list[str]:
    return [kernel.version for kernel in kernels_of(specs, CATALOGUE)]


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("6.12", ["6.12.117-1"]),
        ("6.1", ["6.1.192-2"]),
        ("7.3", ["7.3.4-1~bpo13+1"]),
        ("7.3~rc7", ["7.3~rc7-1~exp1"]),
        ("6.12.90", ["6.12.90-1"]),
        ("6.12.90-1~bpo12+1", ["6.12.90-1~bpo12+1"]),
        ("6.1.*", ["6.1.176-1", "6.1.192-1", "6.1.192-2"]),
        ("5.10..6.12", ["5.10.262-1", "6.1.192-2", "6.12.117-1"]),
        ("5.15..6.11", ["6.1.192-2"]),
        (
            "6.1.*..6.12.*",
            [
                "6.1.176-1",
                "6.1.192-1",
                "6.1.192-2",
                "6.12.9-1",
                "6.12.90-1~bpo12+1",
                "6.12.90-1",
                "6.12.117-1",
            ],
        ),
        ("6.1.190..6.12.9", ["6.1.192-1", "6.1.192-2", "6.12.9-1"]),
        ("6.1.192-2..6.12.90-1~bpo12+1", ["6.1.192-2", "6.12.9-1", "6.12.90-1~bpo12+1"]),
        ("lts", ["5.10.262-1", "6.1.192-2", "6.12.117-1"]),
        ("newest", ["7.3.4-1~bpo13+1"]),
        ("newest-generic", ["6.12.117-1"]),
        ("debian:6.1.0-55-cloud-amd64", ["6.1.192-1"]),
        ("debian:6.12.117+deb13-amd64=6.12.117-1", ["6.12.117-1"]),
    ],
)
def test_what_a_spec_resolves_to(spec: str, meant: list[str]) -> None:
    assert versions(spec) == meant


def test_all_are_all_of_a_flavour() -> None:
    assert len(names("all")) == 10
    assert names("all-rt") == ["7.3.4-rt"]


def test_every_kernel_once_and_in_order() -> None:
    assert versions("7.3", "6.12", "5.10..7.3", "6.12.117") == [
        "5.10.262-1",
        "6.1.192-2",
        "6.12.117-1",
        "7.3.4-1~bpo13+1",
    ]


def test_a_name_is_the_release_and_a_flavour_other_than_cloud() -> None:
    assert names("6.12", "6.12-generic") == ["6.12.117", "6.12.117-generic"]


def test_two_builds_of_a_release_show_their_revision() -> None:
    assert names("6.12.*") == ["6.12.9", "6.12.90-1~bpo12+1", "6.12.90-1", "6.12.117"]


def test_a_name_of_ones_own_wins() -> None:
    assert names("6.12", "mine=6.12.117", "6.1") == ["6.1.192", "mine"]


def test_a_name_of_ones_own_is_not_taken_by_another() -> None:
    assert names("6.12.117=6.12.90", "6.12") == ["6.12.117", "6.12.117-1"]


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (("x=6.1", "x=6.12"), "'x' is given to 2 different kernels"),
        (("x=6.1", "y=6.1"), "named both 'x' and 'y'"),
        (("x=6.1.*",), "one name to 3 kernels"),
    ],
)
def test_names_that_cannot_be(specs: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kernels_of(specs, CATALOGUE)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "4.2",
            r"4\.2; closest available: 5\.10 \(newest 5\.10\.262-1\), 6\.1 \(newest 6\.1\.192-2\)",
        ),
        (
            "6.12.100",
            r"6\.12\.100; closest available: 6\.12\.9-1, 6\.12\.90-1, 6\.12\.117-1, 7\.3~rc7-1~exp1",
        ),
        ("6.2..6.11", r"no cloud kernel 6\.2\.\.6\.11; closest available:"),
        ("6.1-rt", r"no rt kernel 6\.1; closest available: 7\.3"),
        (
            "debian:6.12.100+deb13-cloud-amd64",
            r"closest available: .*debian:6\.12\.90\+deb13-cloud-amd64=6\.12\.90-1",
        ),
        ("debian:6.1.0-56-cloud-amd64=6.1.9-1", r"of version 6\.1\.9-1 in the suites; there is 6\.1\.192-2"),
        ("lts-rt", "no rt kernel for 'lts'"),
    ],
)
def test_what_does_not_exist_names_what_is_near(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kernels_of([spec], CATALOGUE)


def test_a_build_that_lost_a_part_says_so() -> None:
    catalogue = Catalogue(
        CATALOGUE.kernels,
        (Incomplete("6.19.14", "cloud", "linux-modules-6.19.14+deb13-cloud-amd64", "6.19.14-1"),),
    )
    for spec in ("6.19", "6.19.14", "debian:6.19.14+deb13-cloud-amd64"):
        with pytest.raises(UsageError, match=r"removed linux-modules-6\.19\.14"):
            kernels_of([spec], catalogue)


def test_the_nearest_of_a_flavour() -> None:
    assert [kernel.version for kernel in nearest("6.12.50", CATALOGUE)] == [
        "6.1.192-2",
        "6.12.9-1",
        "6.12.90-1",
        "6.12.117-1",
    ]
    assert [kernel.name for kernel in nearest("6.12.50", CATALOGUE, "rt")] == ["7.3.4-rt"]
