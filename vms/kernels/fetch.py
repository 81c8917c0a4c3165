"""Fetches a kernel: from its description to verified files on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import FetchError, Vanished
from vms.kernels import unpack
from vms.kernels.apt import download
from vms.kernels.catalogue import Catalogue
from vms.kernels.digest import digest_of, sha256_of
from vms.kernels.kernel import BootFiles, Kernel, Package
from vms.kernels.resolve import nearest

KIND = "kernels"
"""The kind of cache entry: one per kernel, in the layout of `unpack`, with `kernel.json`."""

_LAYOUT = 1  # of such an entry; increased when its content changes
_WAIT_SECONDS = 1800  # for another process that downloads the same kernel on a slow line

_verified: set[Path] = set()  # entries that this process uses, which nobody removes


def fetch(
    kernel: Kernel, cache: Cache, *, offline: bool = False, catalogue: Catalogue | None = None
) -> BootFiles:
    """The kernel's boot files: from the cache, else fetched, verified and unpacked.

    What is in the cache is verified at its first use in a process, and fetched again if it is
    damaged. Raises FetchError if that fails, or if `offline` and the cache does not have it. With a
    `catalogue`, the message about a package that is gone from its archive names the closest builds
    that are available.
    """
    key = cache_key(kernel)
    if offline and kernel.scheme == "debian":
        if not cached(kernel, cache):
            raise FetchError(f"{kernel.name} is not in the cache; run once without --offline")
        if not _whole(cache.path(KIND, key)):
            raise FetchError(f"{kernel.name} in the cache is damaged; run once without --offline")
    try:
        entry = cache.ensure(
            KIND,
            key,
            lambda entry: _build(kernel, cache, entry),
            Deadline(_WAIT_SECONDS, f"fetching {kernel.name}"),
            _whole,
        )
    except Vanished as error:
        if catalogue:
            near = ", ".join(
                k.version for k in nearest(kernel.release, catalogue, kernel.flavour) if k.id != kernel.id
            )
            raise Vanished(
                f"{error}\n{kernel.version} was removed from its archive when a newer build was published;"
                f" closest available: {near or 'none'}"
            ) from error
        raise
    about = json.loads((entry / "kernel.json").read_text())
    config = entry / "config"
    return BootFiles(
        kernel=kernel,
        version=about["version"],
        vmlinuz=entry / "vmlinuz",
        modules=entry / "lib" / "modules" / about["version"],
        config=config if config.exists() else None,
        sha256=about["sha256"],
    )


def cached(kernel: Kernel, cache: Cache) -> bool:
    """Whether the cache has the kernel's files."""
    return cache.path(KIND, cache_key(kernel)).is_dir()


def cache_key(kernel: Kernel) -> str:
    """The key of the kernel's cache entry.

    It is made of the digests of its packages, so the same key always means the same bytes.
    """
    digests = sorted(package.sha256 for package in kernel.packages)
    return hashlib.sha256(f"{_LAYOUT} {kernel.scheme} {' '.join(digests)}".encode()).hexdigest()[:32]


def _build(kernel: Kernel, cache: Cache, entry: Path) -> None:
    here = [Path(package.url.removeprefix("file:")) for package in kernel.packages]
    sha256 = {path.name: package.sha256 for path, package in zip(here, kernel.packages, strict=True)}
    match kernel.scheme:
        case "debian":
            with ExitStack() as held:
                unpack.packages(
                    [held.enter_context(downloaded(package, cache)) for package in kernel.packages], entry
                )
        case "deb" | "rpm":
            for path, package in zip(here, kernel.packages, strict=True):
                _expect(package, sha256_of(path))
            unpack.packages(here, entry)
        case _:
            image, modules = kernel.packages
            if kernel.scheme == "tree":
                digest = unpack.tree(here[1], entry)
            else:
                digest = unpack.image(here[0], here[1] if modules.size else None, entry)
            _expect(image, sha256_of(entry / "vmlinuz"))
            _expect(modules, digest)
            sha256 = {"modules": digest}
    (modules_directory,) = (entry / "lib" / "modules").iterdir()
    about = {
        "kernel": kernel.id,
        "version": modules_directory.name,
        "sha256": {"vmlinuz": sha256_of(entry / "vmlinuz"), **sha256},
        "content": _content(entry),
    }
    (entry / "kernel.json").write_text(json.dumps(about, indent=1))


def _whole(entry: Path) -> bool:
    """Whether the kernel in this directory is unchanged since it was unpacked."""
    if entry in _verified:
        return True
    try:
        about = json.loads((entry / "kernel.json").read_bytes())
        whole = (
            (entry / "lib" / "modules" / about["version"]).is_dir()
            and about["sha256"]["vmlinuz"] == sha256_of(entry / "vmlinuz")
            # Entries of version 0.1.0 have no digest of their other files.
            and ("content" not in about or about["content"] == _content(entry))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if whole:
        _verified.add(entry)
    return whole


def _content(entry: Path) -> str:
    """A digest of all files of an entry but `kernel.json`, which holds it."""
    files = ((str(path.relative_to(entry)), path) for path in entry.rglob("*") if path.is_file())
    return digest_of((name, path) for name, path in files if name != "kernel.json")[0]


@contextmanager
def downloaded(package: Package, cache: Cache) -> Iterator[Path]:
    """Yields the verified package file and removes it at the end, since the unpacked files are
    cached.

    The beginning of a failed download is kept, to be resumed. Raises FetchError.
    """
    with cache.lock(
        "downloads", package.sha256, Deadline(_WAIT_SECONDS, f"another run to download {package.name}")
    ):
        path = cache.path("downloads", package.sha256)
        download(package, path)
        yield path
        path.unlink()


def _expect(package: Package, sha256: str) -> None:
    if sha256 != package.sha256:
        place = package.url.removeprefix("file:")
        raise FetchError(
            f"{place} changed while it was read (sha256 {sha256}, expected {package.sha256}); run again"
            " when nothing writes to it"
        )
