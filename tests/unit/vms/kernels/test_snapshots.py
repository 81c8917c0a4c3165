"""Builds that an archive dropped are fetched from days when it had them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.caches import files
from tests.support.packages import DAY, Repository, image_deb
from tests.support.specs import kernels_of
from vms.cache import Cache
from vms.errors import FetchError
from vms.kernels.catalogue import Catalogue, remember_gone
from vms.kernels.fetch import fetch
from vms.settings import Debian, Suite

DAYS = ("20260101T000000Z", "20260201T000000Z")


@pytest.fixture
def archive(published: Repository, tmp_path: Path) -> Repository:
    """The archive as it is now, with 6.12.118 alone, and as it was on two days, with 6.12.107 and
    6.12.117, and with 6.12.117 and 6.12.118.
    """
    published.publish(valid_for=-DAY)
    keep_day(published, DAYS[0])
    drop(published, "6.12.107")
    published.add(image_deb(tmp_path, "6.12.118+deb13", "6.12.118-1"))
    published.publish(valid_for=-DAY)
    keep_day(published, DAYS[1])
    drop(published, "6.12.117")
    published.publish()
    return published


def keep_day(repository: Repository, day: str) -> None:
    for part in ("pool", "dists"):
        shutil.copytree(repository.root / part, repository.root / day / part)


def drop(repository: Repository, release: str) -> None:
    (package,) = (repository.root / "pool").glob(f"*{release}*.deb")
    package.unlink()


def settings(archive: Repository, *days: str) -> Debian:
    past = Suite("stable", f"{archive.url}/{{when}}", keyring=str(archive.key.public), snapshots=days)
    return Debian(suites=(archive.suite(), past))


def versions(catalogue: Catalogue) -> list[str]:
    return [kernel.version for kernel in catalogue.kernels]


def test_old_builds_count_as_builds_and_are_fetched_from_their_day(archive: Repository, cache: Cache) -> None:
    assert versions(Catalogue.load(archive.settings, cache)) == ["6.12.118-1"]
    catalogue = Catalogue.load(settings(archive, *DAYS), cache)
    assert versions(catalogue) == ["6.12.107-1", "6.12.117-1", "6.12.118-1"]
    old, _, new = kernels_of(["6.12.*"], catalogue)
    assert fetch(old, cache).version == "6.12.107+deb13-cloud-amd64"
    assert f"/{DAYS[0]}/" in old.packages[0].url
    assert "/2026" not in new.packages[0].url


def test_the_lists_of_a_day_are_fetched_once_for_good(archive: Repository, cache: Cache) -> None:
    Catalogue.load(settings(archive, *DAYS), cache)
    asked = len(archive.requests)
    again = Catalogue.load(settings(archive, *DAYS), cache, max_age=0)
    assert versions(again) == ["6.12.107-1", "6.12.117-1", "6.12.118-1"]
    assert not [path for path, _ in archive.requests[asked:] if "/2026" in path]
    assert archive.requests[asked:]
    assert len([name for name in files(cache) if name.endswith("_Packages")]) == 1


def test_another_day_costs_that_day_only(archive: Repository, cache: Cache) -> None:
    Catalogue.load(settings(archive, DAYS[1]), cache)
    asked = len(archive.requests)
    assert len(versions(Catalogue.load(settings(archive, *DAYS), cache))) == 3
    assert {path.split("/")[1] for path, _ in archive.requests[asked:]} == {DAYS[0]}


def test_a_build_that_is_gone_is_taken_from_a_day(archive: Repository, cache: Cache) -> None:
    with_days = settings(archive, *DAYS)
    (build,) = Catalogue.load(archive.settings, cache).kernels
    remember_gone(archive.settings, cache, [build.id])
    catalogue = Catalogue.load(with_days, cache)
    assert not catalogue.gone
    assert f"/{DAYS[1]}/" in catalogue.kernels[-1].packages[0].url


def test_a_day_that_the_archive_does_not_have(archive: Repository, cache: Cache) -> None:
    with pytest.raises(FetchError, match=r"does not have one of the suites.*20270101T000000Z"):
        Catalogue.load(settings(archive, *DAYS, "20270101T000000Z"), cache)


def test_offline_a_day_must_be_in_the_cache(archive: Repository, cache: Cache) -> None:
    Catalogue.load(archive.settings, cache)
    with pytest.raises(
        FetchError, match=rf"the package lists of .*{DAYS[0]}, suite stable, are not in the cache"
    ):
        Catalogue.load(settings(archive, DAYS[0]), cache, offline=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"archive": "http://a.invalid/{when}"}, "give both or neither"),
        ({"snapshots": DAYS}, "give both or neither"),
        ({"archive": "http://a.invalid/{when}", "snapshots": ("../x",)}, "'../x' is no name of a day"),
    ],
)
def test_a_suite_with_days_that_cannot_be(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Suite("stable", **given)  # type: ignore[arg-type]
