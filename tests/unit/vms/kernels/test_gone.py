"""Builds that package lists still name and that their archive no longer has."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.caches import packages
from tests.support.packages import Repository, image_deb
from tests.support.specs import kernels_of, project_with
from vms import tool
from vms.cache import Cache
from vms.errors import FetchError, UsageError, Vanished
from vms.kernels import apt as apt_module
from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import fetch
from vms.kernels.kernel import Package
from vms.kernels.select import Selection


def lose(repository: Repository, version: str) -> None:
    """Removes a build from the pool; the lists still name it."""
    (deb,) = (repository.root / "pool").glob(f"*_{version}_*.deb")
    deb.unlink()


def select(repository: Repository, cache: Cache, *specs: str) -> Selection:
    """What specs mean once the archive was asked."""
    project = project_with(cache, repository.settings)
    return project.select(project.specs(specs))


def test_a_range_leaves_out_what_its_archive_no_longer_has(published: Repository, cache: Cache) -> None:
    lose(published, "6.12.107-1")
    selection = select(published, cache, "6.12.*")
    assert [kernel.version for kernel in selection.kernels] == ["6.12.117-1"]
    assert selection.gone_versions == ("6.12.107-1",)
    assert packages(cache) == []


def test_what_is_gone_is_remembered_until_the_lists_change(
    published: Repository, cache: Cache, tmp_path: Path
) -> None:
    lose(published, "6.12.107-1")
    select(published, cache, "all")
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
    selection = select(published, cache, "6.12.*", "6.12")
    assert [kernel.version for kernel in selection.kernels] == ["6.12.107-1", "6.12.117-1"]
    assert selection.gone == ()
    with pytest.raises(Vanished, match=r"6\.12\.117-1 was removed.*closest available: 6\.12\.107-1"):
        fetch(selection.kernels[-1], cache, catalogue=selection.catalogue)


def test_a_range_of_which_nothing_is_left(published: Repository, cache: Cache) -> None:
    for version in ("6.12.107-1", "6.12.117-1"):
        lose(published, version)
    message = r"6\.12\.\*: 2 builds .* \(6\.12\.107-1, 6\.12\.117-1\); closest available: none"
    with pytest.raises(UsageError, match=message):
        select(published, cache, "6.12.*")


def test_a_held_build_is_not_asked_for(published: Repository, cache: Cache) -> None:
    catalogue = Catalogue.load(published.settings, cache)
    fetch(kernels_of(["6.12.107"], catalogue)[0], cache)
    lose(published, "6.12.107-1")
    published.requests.clear()
    assert not select(published, cache, "6.12.*").gone
    assert not [path for path, _ in published.requests if "6.12.107" in path]


@pytest.mark.slow
@pytest.mark.fault(phase="package lists", fault="mirror silent", outcome="the build is not taken for gone")
def test_an_archive_that_hangs_or_fails_does_not_say_that_a_build_is_gone(
    published: Repository, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    Catalogue.load(published.settings, cache)
    monkeypatch.setattr(apt_module, "SILENCE_SECONDS", 1)
    published.hang = True
    assert not select(published, cache, "6.12.*").gone
    published.hang, published.fail = False, 503
    assert not select(published, cache, "6.12.*").gone


def test_asking_for_a_build_reads_its_beginning_only(
    published: Repository, cache: Cache, tmp_path: Path
) -> None:
    (kernel,) = kernels_of(["6.12"], Catalogue.load(published.settings, cache))
    published.cut = 100_000  # the rest never comes, and nobody waits for it
    published.stall = True
    start = time.monotonic()
    assert not apt_module.vanished(kernel.packages[0])
    assert time.monotonic() - start < 25


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
