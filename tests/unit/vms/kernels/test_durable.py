"""A kernel in the cache is verified at its first use in a process, and fetched again if it is
damaged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.packages import Repository
from tests.support.specs import kernels_of
from vms.cache import Cache
from vms.errors import FetchError
from vms.kernels import fetch as fetch_module
from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import fetch
from vms.kernels.kernel import Kernel


@pytest.fixture
def kernel(published: Repository, cache: Cache) -> Kernel:
    """A kernel in the cache, as another process finds it."""
    (found,) = kernels_of(["6.12"], Catalogue.load(published.settings, cache))
    fetch(found, cache)
    published.requests.clear()
    return found


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> None:
    monkeypatch.setattr(fetch_module, "_verified", set())


def empty_description(entry: Path) -> None:
    (entry / "kernel.json").write_bytes(b"")


def foreign_description(entry: Path) -> None:
    (entry / "kernel.json").write_text("[]")


def description_without_version(entry: Path) -> None:
    about = json.loads((entry / "kernel.json").read_text())
    del about["version"]
    (entry / "kernel.json").write_text(json.dumps(about))


def empty_vmlinuz(entry: Path) -> None:
    (entry / "vmlinuz").write_bytes(b"")


def changed_vmlinuz(entry: Path) -> None:
    content = bytearray((entry / "vmlinuz").read_bytes())
    content[-1] ^= 1
    (entry / "vmlinuz").write_bytes(content)


def no_vmlinuz(entry: Path) -> None:
    (entry / "vmlinuz").unlink()


def changed_module_list(entry: Path) -> None:
    (path,) = entry.glob("lib/modules/*/modules.dep")
    path.write_bytes(b"changed")


def changed_configuration(entry: Path) -> None:
    (entry / "config").write_bytes(b"")


DAMAGES = [
    empty_description,
    foreign_description,
    description_without_version,
    empty_vmlinuz,
    changed_vmlinuz,
    no_vmlinuz,
    changed_module_list,
    changed_configuration,
]


@pytest.mark.fault(
    phase="download", fault="entry damaged", outcome="it is said, and the kernel fetched again"
)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_kernel_is_fetched_again_and_it_is_said(
    published: Repository,
    cache: Cache,
    kernel: Kernel,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    entry = fetch(kernel, cache).vmlinuz.parent
    whole = {path: path.read_bytes() for path in entry.rglob("*") if path.is_file()}
    fetch_module._verified.clear()
    damage(entry)
    fetch(kernel, cache)
    assert {path: path.read_bytes() for path in entry.rglob("*") if path.is_file()} == whole
    assert f"{entry} was damaged" in caplog.text
    assert published.requests


def test_a_whole_kernel_is_verified_once_in_a_process_and_not_fetched_again(
    published: Repository, cache: Cache, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(kernel, cache)
    monkeypatch.setattr(fetch_module, "sha256_of", None)  # which nothing calls any more
    fetch(kernel, cache)
    assert published.requests == []


def test_a_kernel_that_an_older_version_unpacked_is_still_used(
    published: Repository, cache: Cache, kernel: Kernel
) -> None:
    (description,) = cache.root.glob("kernels/*/kernel.json")
    about = json.loads(description.read_text())
    del about["content"]
    description.write_text(json.dumps(about))
    fetch(kernel, cache)
    assert published.requests == []


def test_offline_a_damaged_kernel_is_an_error_that_says_so(cache: Cache, kernel: Kernel) -> None:
    (description,) = cache.root.glob("kernels/*/kernel.json")
    description.write_bytes(b"")
    with pytest.raises(FetchError, match="in the cache is damaged; run once without --offline"):
        fetch(kernel, cache, offline=True)
