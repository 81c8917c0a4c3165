"""Whatever a mirror does, what reaches the cache is what the archive signed, and the user reads why
it does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.caches import files, packages
from tests.support.packages import DAY, Key, Repository, image_deb
from tests.support.specs import kernels_of
from vms.cache import Cache
from vms.errors import FetchError
from vms.kernels import apt as apt_module
from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import fetch
from vms.settings import Debian


def lists(cache: Cache) -> list[str]:
    return [name for name in files(cache) if "/lists/" in name and not name.endswith("/lock")]


def test_a_kernel_is_listed_fetched_and_laid_out(published: Repository, cache: Cache) -> None:
    catalogue = Catalogue.load(published.settings, cache)
    assert [kernel.version for kernel in catalogue.kernels] == ["6.12.107-1", "6.12.117-1"]
    (kernel,) = kernels_of(["6.12"], catalogue)
    files = fetch(kernel, cache)
    assert files.version == "6.12.117+deb13-cloud-amd64"
    assert files.vmlinuz.stat().st_size > 1_000_000
    assert (files.modules / "modules.dep").is_file()
    assert files.config is not None
    assert files.config.read_text() == "CONFIG_64BIT=y\n"
    assert (
        files.sha256["linux-image-6.12.117+deb13-cloud-amd64_6.12.117-1_amd64.deb"]
        == kernel.packages[0].sha256
    )


def test_the_second_start_asks_the_mirror_nothing(published: Repository, cache: Cache) -> None:
    (kernel,) = kernels_of(["6.12"], Catalogue.load(published.settings, cache))
    fetch(kernel, cache)
    asked = len(published.requests)
    (again,) = kernels_of(["6.12"], Catalogue.load(published.settings, cache))
    fetch(again, cache)
    assert again == kernel
    assert len(published.requests) == asked


def test_old_lists_are_brought_up_to_date(published: Repository, cache: Cache, tmp_path: Path) -> None:
    Catalogue.load(published.settings, cache)
    published.add(image_deb(tmp_path, "6.12.118+deb13", "6.12.118-1"))
    published.publish()
    assert Catalogue.load(published.settings, cache).kernels[-1].version == "6.12.117-1"
    assert Catalogue.load(published.settings, cache, max_age=0).kernels[-1].version == "6.12.118-1"


@pytest.mark.fault(
    phase="package lists", fault="mirror sends garbage", outcome="refused with the reason; nothing is kept"
)
def test_a_strangers_signature(published: Repository, cache: Cache, keys: tuple[Key, Key]) -> None:
    published.publish(key=keys[1])
    with pytest.raises(FetchError, match="not signed by a key of its suite's keyring"):
        Catalogue.load(published.settings, cache)
    assert lists(cache) == []


@pytest.mark.fault(
    phase="package lists", fault="mirror sends garbage", outcome="refused with the reason; nothing is kept"
)
def test_a_release_file_changed_after_signing(published: Repository, cache: Cache) -> None:
    release = published.root / "dists/stable/InRelease"
    release.write_text(release.read_text().replace("Origin: Test", "Origin: Evil"))
    with pytest.raises(FetchError, match="is not what was signed"):
        Catalogue.load(published.settings, cache)
    assert lists(cache) == []


@pytest.mark.fault(
    phase="package lists", fault="mirror sends garbage", outcome="refused with the reason; nothing is kept"
)
@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "<html>Please log in</html>\n",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("SIGNATURE-----\n\n", "SIGNATURE-----\n\nAAAAAAAA", 1),
    ],
    ids=["another file", "cut", "a damaged signature"],
)
def test_a_release_file_that_is_none(
    published: Repository, cache: Cache, damage: Callable[[str], str]
) -> None:
    release = published.root / "dists/stable/InRelease"
    release.write_text(damage(release.read_text()))
    with pytest.raises(FetchError, match="a Release file is damaged"):
        Catalogue.load(published.settings, cache)
    assert lists(cache) == []


@pytest.mark.fault(
    phase="package lists", fault="mirror sends garbage", outcome="refused with the reason; nothing is kept"
)
def test_a_package_list_changed_after_signing(published: Repository, cache: Cache) -> None:
    listed = published.root / "dists/stable/main/binary-amd64/Packages"
    listed.write_text(listed.read_text().replace("Version: 6.12.117-1", "Version: 6.12.117-9"))
    with pytest.raises(FetchError, match="what the mirror sent is not what was signed"):
        Catalogue.load(published.settings, cache)
    assert [name for name in lists(cache) if "Packages" in name] == []


@pytest.mark.fault(
    phase="package lists", fault="mirror sends garbage", outcome="the lists that were verified before stay"
)
def test_lists_that_were_good_stay_when_new_ones_are_not(
    published: Repository, cache: Cache, keys: tuple[Key, Key]
) -> None:
    Catalogue.load(published.settings, cache)
    published.publish(key=keys[1])
    with pytest.raises(FetchError):
        Catalogue.load(published.settings, cache, max_age=0)
    assert len(Catalogue.load(published.settings, cache, offline=True).kernels) == 2


@pytest.mark.fault(phase="package lists", fault="mirror is stale", outcome="refused with the reason")
def test_an_expired_release_file(published: Repository, cache: Cache) -> None:
    published.publish(valid_for=-DAY)
    with pytest.raises(FetchError, match=r"past its Valid-Until date.*check_valid_until = false"):
        Catalogue.load(published.settings, cache)


def test_an_archive_that_stands_still_may_be_expired(published: Repository, cache: Cache) -> None:
    published.publish(valid_for=-DAY)
    settings = Debian(suites=(published.suite(check_valid_until=False),))
    assert len(Catalogue.load(settings, cache).kernels) == 2


@pytest.mark.fault(phase="package lists", fault="mirror answers 404", outcome="an error that names the suite")
def test_a_mirror_without_the_suite(published: Repository, cache: Cache) -> None:
    with pytest.raises(FetchError, match=r"does not have one of the suites that matrix.toml names.*forky"):
        Catalogue.load(Debian(suites=(published.suite(), published.suite("forky"))), cache)


@pytest.mark.slow
@pytest.mark.fault(phase="package lists", fault="mirror silent", outcome="an error within the deadline")
def test_a_mirror_that_hangs(published: Repository, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt_module, "SILENCE_SECONDS", 1)
    published.hang = True
    start = time.monotonic()
    with pytest.raises(FetchError, match="the mirror does not answer"):
        Catalogue.load(published.settings, cache)
    assert time.monotonic() - start < 20


@pytest.mark.slow
@pytest.mark.fault(
    phase="download",
    fault="mirror silent",
    outcome="an error within the deadline; nothing is kept",
)
def test_a_mirror_that_hangs_during_a_download(
    published: Repository, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kernel,) = kernels_of(["6.12"], Catalogue.load(published.settings, cache))
    monkeypatch.setattr(apt_module, "SILENCE_SECONDS", 1)
    published.hang = True
    with pytest.raises(FetchError, match="the mirror does not answer"):
        fetch(kernel, cache)
    assert packages(cache) == []


@pytest.mark.fault(phase="package lists", fault="no network", outcome="an error that names `--offline`")
def test_no_network(published: Repository, cache: Cache) -> None:
    unreachable = Debian(
        suites=(
            published.suite().__class__("stable", "http://127.0.0.1:9", keyring=str(published.key.public)),
        )
    )
    with pytest.raises(FetchError, match="the mirror cannot be reached; `--offline`"):
        Catalogue.load(unreachable, cache)


def test_offline_without_lists(published: Repository, cache: Cache) -> None:
    with pytest.raises(FetchError, match="no package lists for these suites in the cache"):
        Catalogue.load(published.settings, cache, offline=True)
    assert published.requests == []


def test_offline_uses_what_is_held_and_says_what_is_not(published: Repository, cache: Cache) -> None:
    catalogue = Catalogue.load(published.settings, cache)
    (held,) = kernels_of(["6.12.117"], catalogue)
    fetch(held, cache)
    asked = len(published.requests)
    offline = Catalogue.load(published.settings, cache, offline=True, max_age=0)
    assert fetch(held, cache, offline=True).version == "6.12.117+deb13-cloud-amd64"
    with pytest.raises(FetchError, match=r"6\.12\.107 is not in the cache"):
        fetch(kernels_of(["6.12.107"], offline)[0], cache, offline=True)
    assert len(published.requests) == asked


@pytest.mark.fault(phase="download", fault="mirror sends garbage", outcome="refused; nothing is kept")
def test_a_package_with_other_bytes(published: Repository, cache: Cache) -> None:
    (kernel,) = kernels_of(["6.12"], Catalogue.load(published.settings, cache))
    deb = published.root / "pool" / kernel.packages[0].url.rpartition("/")[2]
    content = bytearray(deb.read_bytes())
    content[-1000] ^= 1
    deb.write_bytes(content)
    with pytest.raises(FetchError, match="what the mirror sent is not what was signed"):
        fetch(kernel, cache)
    assert packages(cache) == []


@pytest.mark.fault(phase="download", fault="mirror truncates", outcome="refused; nothing is kept")
def test_a_truncated_package(published: Repository, cache: Cache) -> None:
    (kernel,) = kernels_of(["6.12"], Catalogue.load(published.settings, cache))
    deb = published.root / "pool" / kernel.packages[0].url.rpartition("/")[2]
    deb.write_bytes(deb.read_bytes()[:500_000])
    with pytest.raises(FetchError, match="what the mirror sent is not what was signed"):
        fetch(kernel, cache)
    assert packages(cache) == []


@pytest.mark.fault(phase="download", fault="mirror truncates", outcome="the next attempt resumes")
def test_a_download_that_broke_off_is_gone_on_with(published: Repository, cache: Cache) -> None:
    (kernel,) = kernels_of(["6.12"], Catalogue.load(published.settings, cache))
    published.cut = 300_000
    with pytest.raises(FetchError):
        fetch(kernel, cache)
    assert not cache.path("kernels", "").exists() or not list(cache.path("kernels", "").glob("[!.]*[!k]"))
    published.cut = None
    published.requests.clear()
    assert fetch(kernel, cache).version == "6.12.117+deb13-cloud-amd64"
    assert [span for _, span in published.requests if span.startswith("bytes=") and span != "bytes=0-"]


@pytest.mark.fault(
    phase="download",
    fault="mirror sends garbage",
    outcome="a wrong beginning is discarded and the package fetched whole",
)
def test_a_wrong_beginning_is_not_gone_on_with(published: Repository, cache: Cache) -> None:
    (kernel,) = kernels_of(["6.12"], Catalogue.load(published.settings, cache))
    begun = cache.path("downloads", kernel.packages[0].sha256)
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"x" * 10_000)
    assert fetch(kernel, cache).version == "6.12.117+deb13-cloud-amd64"


@pytest.mark.fault(
    phase="download", fault="mirror answers 404", outcome="an error that names the nearest builds"
)
def test_a_vanished_package_names_the_nearest(published: Repository, cache: Cache) -> None:
    catalogue = Catalogue.load(published.settings, cache)
    (kernel,) = kernels_of(["6.12.117"], catalogue)
    (published.root / "pool" / kernel.packages[0].url.rpartition("/")[2]).unlink()
    with pytest.raises(FetchError, match=r"6\.12\.117-1 was removed .*closest available: 6\.12\.107-1"):
        fetch(kernel, cache, catalogue=catalogue)
    assert packages(cache) == []
