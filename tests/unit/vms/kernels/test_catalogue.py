"""How packages become builds; how lists are fetched and verified is in test_signed_repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.packages import Repository, image_deb, kernel_deb
from vms.cache import Cache
from vms.errors import FetchError
from vms.kernels.catalogue import Catalogue

BIG = b"x" * 1_100_000


def listed(
    repository: Repository, cache: Cache, tmp_path: Path, packages: dict[tuple[str, str], bytes]
) -> Catalogue:
    for (name, version), content in packages.items():
        repository.add(kernel_deb(tmp_path, name, version, {"content": content}))
    repository.publish()
    return Catalogue.load(repository.settings, cache)


def test_a_build_of_one_package_is_listed(repository: Repository, cache: Cache, tmp_path: Path) -> None:
    catalogue = listed(repository, cache, tmp_path, {("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2"): BIG})
    (kernel,) = catalogue.kernels
    assert kernel.id == "debian:6.1.0-56-cloud-amd64=6.1.192-2"
    assert (kernel.series, kernel.release, kernel.flavour, kernel.name) == (
        "6.1",
        "6.1.192",
        "cloud",
        "6.1.192",
    )
    assert (kernel.suite, kernel.scheme) == ("stable", "debian")
    assert (
        kernel.packages[0].url
        == f"{repository.url}/pool/linux-image-6.1.0-56-cloud-amd64_6.1.192-2_amd64.deb"
    )


@pytest.mark.fault(
    phase="package lists", fault="list damaged by its archive", outcome="refused, with package and field"
)
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (rb"SHA256: .*\n", b"", "it has no SHA256"),
        (rb"SHA256: .*\n", b"SHA256: ../../x\n", "sha256 cannot be '../../x'"),
        (rb"Size: .*\n", b"Size: many\n", "invalid literal for int"),
        (rb"Size: .*\n", b"Size: -1\n", "size cannot be -1"),
        (rb"Filename: .*\n", b"", "it has no Filename"),
        (rb"Version: .*\n", b"Version: ../../x\n", "version cannot be '../../x'"),
        (rb"Version: .*\n", b"Version: \xff\xfe\n", "version cannot be"),
        (rb"Version: .*\n", b"Version: 1:-1\n", "release cannot be ''"),
    ],
)
def test_a_signed_list_that_says_what_cannot_be_is_refused_with_archive_and_package(
    repository: Repository, cache: Cache, tmp_path: Path, old: bytes, new: bytes, said: str
) -> None:
    repository.add(image_deb(tmp_path, "6.1.0-56", "6.1.192-2"))
    repository.publish(edit=lambda listed: re.sub(old, new, listed))
    with pytest.raises(FetchError) as caught:
        Catalogue.load(repository.settings, cache)
    assert str(caught.value).startswith(
        f"{repository.url}, suite stable: its package list cannot be used:"
        " 'linux-image-6.1.0-56-cloud-amd64': "
    )
    assert said in str(caught.value)


def test_bytes_that_are_no_utf8_elsewhere_in_a_list_do_no_harm(
    repository: Repository, cache: Cache, tmp_path: Path
) -> None:
    repository.add(image_deb(tmp_path, "6.1.0-56", "6.1.192-2"))
    repository.publish(edit=lambda listed: listed.replace(b"Version:", b"Vendor: \xff\nVersion:"))
    assert [kernel.name for kernel in Catalogue.load(repository.settings, cache).kernels] == ["6.1.192"]


def test_a_build_divided_into_packages_is_listed_with_all_of_them(
    repository: Repository, cache: Cache, tmp_path: Path
) -> None:
    parts = {
        (f"linux-{part}-7.3-rt-amd64", "7.3~rc7-1~exp1"): b"small"
        for part in ("image", "binary", "modules", "base")
    }
    (kernel,) = listed(repository, cache, tmp_path, parts).kernels
    assert [package.name.split("-")[1] for package in kernel.packages] == ["base", "binary", "modules"]
    assert (kernel.release, kernel.flavour, kernel.name) == ("7.3~rc7", "rt", "7.3~rc7-rt")
    assert kernel.size == sum(package.size for package in kernel.packages) > 0


def test_a_build_without_its_modules_package_is_not_listed_but_remembered(
    repository: Repository, cache: Cache, tmp_path: Path
) -> None:
    parts = {(f"linux-{part}-7.1.3-amd64", "7.1.3-1"): b"small" for part in ("image", "binary", "base")}
    catalogue = listed(repository, cache, tmp_path, parts)
    assert catalogue.kernels == ()
    (lost,) = catalogue.incomplete
    assert (lost.release, lost.flavour, lost.missing) == ("7.1.3", "generic", "linux-modules-7.1.3-amd64")


def test_packages_of_different_versions_do_not_make_one_build(
    repository: Repository, cache: Cache, tmp_path: Path
) -> None:
    parts = {
        ("linux-binary-7.3-amd64", "7.3-1"): b"",
        ("linux-base-7.3-amd64", "7.3-2"): b"",
        ("linux-modules-7.3-amd64", "7.3-2"): b"",
    }
    assert listed(repository, cache, tmp_path, parts).kernels == ()


@pytest.mark.parametrize(
    "name",
    [
        "linux-image-6.12-cloud-amd64",  # depends on the newest, and is small
        "linux-image-6.12.117+deb13-cloud-amd64-dbg",
        "linux-image-cloud-amd64",
        "linux-headers-6.12.117+deb13-cloud-amd64",
    ],
)
def test_packages_that_are_no_kernel_builds_are_not_listed(
    repository: Repository, cache: Cache, tmp_path: Path, name: str
) -> None:
    content = b"small" if name == "linux-image-6.12-cloud-amd64" else BIG
    assert listed(repository, cache, tmp_path, {(name, "6.12.117-1"): content}).kernels == ()


def test_unsigned_doubles_of_signed_packages_are_not_listed(
    repository: Repository, cache: Cache, tmp_path: Path
) -> None:
    packages = {
        ("linux-image-6.12.9-amd64-unsigned", "6.12.9-1"): BIG,
        ("linux-binary-unsigned-7.3-amd64", "7.3-1"): BIG,
    }
    assert listed(repository, cache, tmp_path, packages).kernels == ()


def test_the_newest_build_of_a_series_is_found(repository: Repository, cache: Cache, tmp_path: Path) -> None:
    packages = {(f"linux-image-6.12.{point}-cloud-amd64", f"6.12.{point}-1"): BIG for point in (9, 10)}
    catalogue = listed(repository, cache, tmp_path, packages)
    newest = catalogue.newest("6.12")
    assert newest is not None
    assert newest.release == "6.12.10"
    assert catalogue.newest("6.13") is None
    assert catalogue.newest("6.12", "rt") is None


@pytest.mark.fault(phase="package lists", fault="entry damaged", outcome="the lists are read again")
def test_package_lists_are_read_again_if_the_note_of_them_is_damaged(
    repository: Repository, cache: Cache, tmp_path: Path
) -> None:
    before = listed(repository, cache, tmp_path, {("linux-image-6.12.9-cloud-amd64", "6.12.9-1"): BIG})
    (note,) = cache.root.glob("apt/*/catalogue.json")
    note.write_text("{")
    assert Catalogue.load(repository.settings, cache, offline=True).kernels == before.kernels
