"""Whatever a mirror does, what reaches the cache is what the archive signed, and the user reads why
it does not.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.packages import DAY, Key, Repository, image_deb
from vms import tool
from vms.cache import Cache
from vms.errors import FetchError, UsageError, Vanished
from vms.kernels import apt as apt_module
from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import fetch
from vms.kernels.gone import at_hand
from vms.kernels.kernel import Package
from vms.kernels.resolve import left_out, left_out_text, resolve, resolve_all
from vms.settings import Debian


@pytest.fixture
def published(repository: Repository, tmp_path: Path) -> Repository:
    """A repository with two releases of one series, as it should be."""
    for abi, version in (("6.12.107+deb13", "6.12.107-1"), ("6.12.117+deb13", "6.12.117-1")):
        repository.add(image_deb(tmp_path, abi, version))
    repository.publish()
    return repository


def files(cache: Cache) -> list[str]:
    """All that the cache holds but locks."""
    return sorted(
        str(path.relative_to(cache.root))
        for path in cache.root.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    )


def packages(cache: Cache) -> list[str]:
    return [name for name in files(cache) if name.startswith(("downloads/", "kernels/"))]


def lists(cache: Cache) -> list[str]:
    return [name for name in files(cache) if "/lists/" in name and not name.endswith("/lock")]


def test_a_kernel_is_listed_fetched_and_laid_out(published: Repository, cache: Cache) -> None:
    catalogue = Catalogue.load(published.settings, cache)
    assert [kernel.version for kernel in catalogue.kernels] == ["6.12.107-1", "6.12.117-1"]
    (kernel,) = resolve("6.12", catalogue)
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
    (kernel,) = resolve("6.12", Catalogue.load(published.settings, cache))
    fetch(kernel, cache)
    asked = len(published.requests)
    (again,) = resolve("6.12", Catalogue.load(published.settings, cache))
    fetch(again, cache)
    assert again == kernel
    assert len(published.requests) == asked


def test_old_lists_are_brought_up_to_date(published: Repository, cache: Cache, tmp_path: Path) -> None:
    Catalogue.load(published.settings, cache)
    published.add(image_deb(tmp_path, "6.12.118+deb13", "6.12.118-1"))
    published.publish()
    assert Catalogue.load(published.settings, cache).kernels[-1].version == "6.12.117-1"
    assert Catalogue.load(published.settings, cache, max_age=0).kernels[-1].version == "6.12.118-1"


def test_a_strangers_signature(published: Repository, cache: Cache, keys: tuple[Key, Key]) -> None:
    published.publish(key=keys[1])
    with pytest.raises(FetchError, match="not signed by a key of its suite's keyring"):
        Catalogue.load(published.settings, cache)
    assert lists(cache) == []


def test_a_release_file_changed_after_signing(published: Repository, cache: Cache) -> None:
    release = published.root / "dists/stable/InRelease"
    release.write_text(release.read_text().replace("Origin: Test", "Origin: Evil"))
    with pytest.raises(FetchError, match="is not what was signed"):
        Catalogue.load(published.settings, cache)
    assert lists(cache) == []


def test_a_package_list_changed_after_signing(published: Repository, cache: Cache) -> None:
    listed = published.root / "dists/stable/main/binary-amd64/Packages"
    listed.write_text(listed.read_text().replace("Version: 6.12.117-1", "Version: 6.12.117-9"))
    with pytest.raises(FetchError, match="what the mirror sent is not what was signed"):
        Catalogue.load(published.settings, cache)
    assert [name for name in lists(cache) if "Packages" in name] == []


def test_lists_that_were_good_stay_when_new_ones_are_not(
    published: Repository, cache: Cache, keys: tuple[Key, Key]
) -> None:
    Catalogue.load(published.settings, cache)
    published.publish(key=keys[1])
    with pytest.raises(FetchError):
        Catalogue.load(published.settings, cache, max_age=0)
    assert len(Catalogue.load(published.settings, cache, offline=True).kernels) == 2


def test_an_expired_release_file(published: Repository, cache: Cache) -> None:
    published.publish(valid_for=-DAY)
    with pytest.raises(FetchError, match=r"past its Valid-Until date.*check_valid_until = false"):
        Catalogue.load(published.settings, cache)


def test_an_archive_that_stands_still_may_be_expired(published: Repository, cache: Cache) -> None:
    published.publish(valid_for=-DAY)
    settings = Debian(suites=(published.suite(check_valid_until=False),))
    assert len(Catalogue.load(settings, cache).kernels) == 2


def test_a_mirror_without_the_suite(published: Repository, cache: Cache) -> None:
    with pytest.raises(FetchError, match=r"does not have one of the suites that matrix.toml names.*forky"):
        Catalogue.load(Debian(suites=(published.suite(), published.suite("forky"))), cache)


@pytest.mark.slow
def test_a_mirror_that_hangs(published: Repository, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt_module, "SILENCE_SECONDS", 1)
    published.hang = True
    start = time.monotonic()
    with pytest.raises(FetchError, match="the mirror does not answer"):
        Catalogue.load(published.settings, cache)
    assert time.monotonic() - start < 20


@pytest.mark.slow
def test_a_mirror_that_hangs_during_a_download(
    published: Repository, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kernel,) = resolve("6.12", Catalogue.load(published.settings, cache))
    monkeypatch.setattr(apt_module, "SILENCE_SECONDS", 1)
    published.hang = True
    with pytest.raises(FetchError, match="the mirror does not answer"):
        fetch(kernel, cache)
    assert packages(cache) == []


def test_no_network(published: Repository, cache: Cache) -> None:
    unreachable = Debian(
        suites=(
            published.suite().__class__("stable", "http://127.0.0.1:9", keyring=str(published.key.public)),
        )
    )
    with pytest.raises(FetchError, match="the mirror cannot be reached; without network, `--offline`"):
        Catalogue.load(unreachable, cache)


def test_offline_without_lists(published: Repository, cache: Cache) -> None:
    with pytest.raises(FetchError, match="no package lists for these suites in the cache"):
        Catalogue.load(published.settings, cache, offline=True)
    assert published.requests == []


def test_offline_uses_what_is_held_and_says_what_is_not(published: Repository, cache: Cache) -> None:
    catalogue = Catalogue.load(published.settings, cache)
    (held,) = resolve("6.12.117", catalogue)
    fetch(held, cache)
    asked = len(published.requests)
    offline = Catalogue.load(published.settings, cache, offline=True, max_age=0)
    assert fetch(held, cache, offline=True).version == "6.12.117+deb13-cloud-amd64"
    with pytest.raises(FetchError, match=r"6\.12\.107 is not in the cache"):
        fetch(resolve("6.12.107", offline)[0], cache, offline=True)
    assert len(published.requests) == asked


def test_a_package_with_other_bytes(published: Repository, cache: Cache) -> None:
    (kernel,) = resolve("6.12", Catalogue.load(published.settings, cache))
    deb = published.root / "pool" / kernel.packages[0].url.rpartition("/")[2]
    content = bytearray(deb.read_bytes())
    content[-1000] ^= 1
    deb.write_bytes(content)
    with pytest.raises(FetchError, match="what the mirror sent is not what was signed"):
        fetch(kernel, cache)
    assert packages(cache) == []


def test_a_truncated_package(published: Repository, cache: Cache) -> None:
    (kernel,) = resolve("6.12", Catalogue.load(published.settings, cache))
    deb = published.root / "pool" / kernel.packages[0].url.rpartition("/")[2]
    deb.write_bytes(deb.read_bytes()[:500_000])
    with pytest.raises(FetchError, match="what the mirror sent is not what was signed"):
        fetch(kernel, cache)
    assert packages(cache) == []


def test_a_download_that_broke_off_is_gone_on_with(published: Repository, cache: Cache) -> None:
    (kernel,) = resolve("6.12", Catalogue.load(published.settings, cache))
    published.cut = 300_000
    with pytest.raises(FetchError):
        fetch(kernel, cache)
    assert not cache.path("kernels", "").exists() or not list(cache.path("kernels", "").glob("[!.]*[!k]"))
    published.cut = None
    published.requests.clear()
    assert fetch(kernel, cache).version == "6.12.117+deb13-cloud-amd64"
    assert [span for _, span in published.requests if span.startswith("bytes=") and span != "bytes=0-"]


def test_a_wrong_beginning_is_not_gone_on_with(published: Repository, cache: Cache) -> None:
    (kernel,) = resolve("6.12", Catalogue.load(published.settings, cache))
    begun = cache.path("downloads", kernel.packages[0].sha256)
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"x" * 10_000)
    assert fetch(kernel, cache).version == "6.12.117+deb13-cloud-amd64"


def test_a_vanished_package_names_the_nearest(published: Repository, cache: Cache) -> None:
    catalogue = Catalogue.load(published.settings, cache)
    (kernel,) = resolve("6.12.117", catalogue)
    (published.root / "pool" / kernel.packages[0].url.rpartition("/")[2]).unlink()
    with pytest.raises(
        FetchError, match=r"6\.12\.117-1 was superseded and has vanished.*near it are 6\.12\.107-1"
    ):
        fetch(kernel, cache, catalogue=catalogue)
    assert packages(cache) == []


def lose(repository: Repository, version: str) -> None:
    """Removes a build from the pool; the lists still name it."""
    (deb,) = (repository.root / "pool").glob(f"*_{version}_*.deb")
    deb.unlink()


def test_a_range_leaves_out_what_its_archive_no_longer_has(published: Repository, cache: Cache) -> None:
    lose(published, "6.12.107-1")
    catalogue = at_hand(["6.12.*"], Catalogue.load(published.settings, cache), published.settings, cache)
    kernels = resolve_all(["6.12.*"], catalogue)
    assert [kernel.version for kernel in kernels] == ["6.12.117-1"]
    absent = left_out(["6.12.*"], catalogue, kernels)
    assert left_out_text(absent, catalogue).endswith(
        "the archive answers that it is gone: 6.12.107-1; near it is 6.12.117-1"
    )
    assert packages(cache) == []


def test_what_is_gone_is_remembered_until_the_lists_change(
    published: Repository, cache: Cache, tmp_path: Path
) -> None:
    lose(published, "6.12.107-1")
    at_hand(["all"], Catalogue.load(published.settings, cache), published.settings, cache)
    published.requests.clear()
    again = Catalogue.load(published.settings, cache, offline=True)
    assert again.gone == {"debian:6.12.107+deb13-cloud-amd64=6.12.107-1"}
    assert not [path for path, _ in published.requests if "6.12.107" in path]
    published.add(image_deb(tmp_path, "6.12.107+deb13", "6.12.107-1"))
    published.add(image_deb(tmp_path, "6.12.118+deb13", "6.12.118-1"))
    published.publish()
    assert not Catalogue.load(published.settings, cache, max_age=0).gone


def test_a_gone_build_that_is_named_is_an_error(published: Repository, cache: Cache) -> None:
    lose(published, "6.12.117-1")
    specs = ["6.12.*", "6.12"]
    catalogue = at_hand(specs, Catalogue.load(published.settings, cache), published.settings, cache)
    assert [kernel.version for kernel in resolve_all(["6.12.*"], catalogue)] == ["6.12.107-1"]
    named = resolve_all(specs, catalogue)[-1]
    assert left_out(specs, catalogue, resolve_all(specs, catalogue)) == ()
    with pytest.raises(Vanished, match=r"6\.12\.117-1 was superseded.*near it are 6\.12\.107-1"):
        fetch(named, cache, catalogue=catalogue)


def test_a_range_of_which_nothing_is_left(published: Repository, cache: Cache) -> None:
    for version in ("6.12.107-1", "6.12.117-1"):
        lose(published, version)
    catalogue = at_hand(["6.12.*"], Catalogue.load(published.settings, cache), published.settings, cache)
    with pytest.raises(
        UsageError, match=r"6\.12\.\*: 2 builds .* gone: 6\.12\.107-1, 6\.12\.117-1; near them is none"
    ):
        resolve_all(["6.12.*"], catalogue)


def test_a_held_build_is_not_asked_for(published: Repository, cache: Cache) -> None:
    catalogue = Catalogue.load(published.settings, cache)
    fetch(resolve("6.12.107", catalogue)[0], cache)
    lose(published, "6.12.107-1")
    published.requests.clear()
    assert not at_hand(["6.12.*"], catalogue, published.settings, cache).gone
    assert not [path for path, _ in published.requests if "6.12.107" in path]


@pytest.mark.slow
def test_an_archive_that_hangs_or_fails_does_not_say_that_a_build_is_gone(
    published: Repository, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = Catalogue.load(published.settings, cache)
    monkeypatch.setattr(apt_module, "SILENCE_SECONDS", 1)
    published.hang = True
    assert not at_hand(["6.12.*"], catalogue, published.settings, cache).gone
    published.hang, published.fail = False, 503
    assert not at_hand(["6.12.*"], catalogue, published.settings, cache).gone


def test_asking_for_a_build_reads_its_beginning_only(
    published: Repository, cache: Cache, tmp_path: Path
) -> None:
    (kernel,) = resolve("6.12", Catalogue.load(published.settings, cache))
    published.cut = 100_000  # the rest never comes, and nobody waits for it
    published.stall = True
    start = time.monotonic()
    assert not apt_module.vanished(kernel.packages[0])
    assert time.monotonic() - start < 10


def test_a_404_in_a_name_is_no_answer() -> None:
    package = Package(
        "linux-image-6.1.404-cloud-amd64", "404", "404" * 21 + "0", 1, "http://127.0.0.1:9/pool/404/a_404_b"
    )
    with pytest.raises(FetchError) as caught:
        apt_module.vanished(package)
    assert not isinstance(caught.value, Vanished)


@pytest.mark.parametrize(
    ("answer", "gone"), [("404  Not Found", True), ("410  Gone", True), ("403  Forbidden", False)]
)
def test_what_apt_says_of_an_archives_answer(answer: str, gone: bool) -> None:
    said = f"E: Failed to fetch http://127.0.0.1:9/pool/404/a_404_b  {answer} [IP: 127.0.0.1 9]\n"
    failure = apt_module.failure_of(tool.ToolFailed(["apt-helper"], 100, said, "asking"), "asking")
    assert isinstance(failure, Vanished) is gone
    assert answer.split()[0] in str(failure)
