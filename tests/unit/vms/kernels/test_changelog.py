"""What a changelog says that came in between two builds, and where it is read from."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.support.packages import Repository, bzimage, entry, kernel_deb
from tests.support.specs import kernels_of
from vms.cache import Cache
from vms.errors import FetchError
from vms.kernels import archive
from vms.kernels.catalogue import Catalogue
from vms.kernels.changelog import read_changelog, titles_between

TEXT = """linux-signed-amd64 (6.12.117+1) trixie-security; urgency=high

  * Sign kernel from linux 6.12.117-1

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.12.117
    - netfilter: conntrack: tcp: use UNACK timeout for non-closing RST
      packets (CVE-2026-1)
    - [arm64] KVM: fix a thing

  [ Ada Lovelace ]
  * ALSA: usb-audio: use the right limit

 -- Ada Lovelace <ada@example.org>  Thu, 12 Nov 2026 10:30:20 +0100

linux (6.12.116-1) trixie-security; urgency=high

  * New upstream stable update:
    - xen-netback: fix statistics

 -- Ada Lovelace <ada@example.org>  Sat, 07 Nov 2026 09:40:59 +0100

linux (6.12.115-2) trixie-security; urgency=high

  * Older than both

"""
NEWEST = (
    "Sign kernel from linux 6.12.117-1",
    "New upstream stable update:",
    "netfilter: conntrack: tcp: use UNACK timeout for non-closing RST packets (CVE-2026-1)",
    "[arm64] KVM: fix a thing",
    "ALSA: usb-audio: use the right limit",
)


@pytest.mark.parametrize(
    ("older", "titles"),
    [
        ("6.12.117-1", ()),
        ("6.12.117-1~deb12u1", ()),
        ("6.12.116-1", NEWEST),
        ("6.12.116-1~bpo12+1", NEWEST),
        ("6.12.115-2", (*NEWEST, "xen-netback: fix statistics")),
    ],
)
def test_the_titles_are_those_of_newer_releases_each_once(older: str, titles: tuple[str, ...]) -> None:
    assert titles_between(TEXT, older) == titles


@pytest.mark.parametrize("text", ["", "nothing\n  * of the kind\n", "linux (6.12.1) x\n\n\x1b[31m"])
def test_what_is_no_changelog_has_no_titles(text: str) -> None:
    assert titles_between(text, "6.12.1-1") == ()


def deb(directory: Path, files: dict[str, bytes | Path]) -> Path:
    release = "6.12.117+deb13-cloud-amd64"
    image = bzimage(directory / "vmlinuz", release, 1_100_000)
    return kernel_deb(
        directory, f"linux-image-{release}", "6.12.117-1", {f"boot/vmlinuz-{release}": image, **files}
    )


@pytest.fixture
def with_changelog(repository: Repository, tmp_path: Path) -> Repository:
    repository.add(deb(tmp_path, {"usr/share/doc/linux-image/changelog.gz": gzip.compress(TEXT.encode())}))
    repository.publish()
    return repository


def test_it_is_fetched_from_the_kernels_package_once(with_changelog: Repository, cache: Cache) -> None:
    (kernel,) = kernels_of(["6.12"], Catalogue.load(with_changelog.settings, cache))
    with pytest.raises(FetchError, match="is not in the cache; ask again without --offline"):
        read_changelog(kernel, cache, offline=True)
    assert read_changelog(kernel, cache) == TEXT
    with_changelog.requests.clear()
    assert read_changelog(kernel, cache, offline=True) == TEXT
    assert not with_changelog.requests


def test_a_kernel_that_is_not_from_debian_has_none(cache: Cache) -> None:
    kernel = entry("6.12.117+deb13", "6.12.117-1")
    object.__setattr__(kernel, "id", "tree:/somewhere")
    assert read_changelog(kernel, cache) == ""


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"usr/share/doc/x/changelog.gz": b"no gzip"},
        {"usr/share/doc/x/y/changelog.gz": gzip.compress(b"elsewhere")},
        {"usr/share/doc/x/NEWS.Debian.gz": gzip.compress(b"news")},
    ],
)
def test_a_package_without_a_changelog_gives_none(
    files: dict[str, bytes | Path], repository: Repository, cache: Cache, tmp_path: Path
) -> None:
    repository.add(deb(tmp_path, files))
    repository.publish()
    (kernel,) = kernels_of(["6.12"], Catalogue.load(repository.settings, cache))
    assert read_changelog(kernel, cache) == ""


def test_of_a_changelog_that_unpacks_to_gigabytes_a_bounded_part_is_read(
    repository: Repository, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vms.kernels.changelog._MOST_BYTES", 1000)
    repository.add(deb(tmp_path, {"usr/share/doc/x/changelog.gz": gzip.compress(bytes(5_000_000))}))
    repository.publish()
    (kernel,) = kernels_of(["6.12"], Catalogue.load(repository.settings, cache))
    assert len(read_changelog(kernel, cache)) == 1000


def test_a_damaged_package_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.deb"
    broken.write_bytes(b"!<arch>\nnothing")
    with pytest.raises(FetchError, match="is damaged"):
        archive.changelog(broken)
