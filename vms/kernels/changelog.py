"""What a distribution's changelog says that came in between two builds of its kernels."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import FetchError
from vms.files import write_whole
from vms.kernels import archive
from vms.kernels.fetch import cache_key, downloaded
from vms.kernels.kernel import Kernel
from vms.kernels.order import version_key

_SECONDS = 1800
_MOST_BYTES = 64 << 20
_FILE = "changelog.gz"
_RELEASE = re.compile(r"linux(?P<signed>-signed)?\S* \((?P<version>[^)\s]+)\) ")
_ITEM = re.compile(r"(?:  \*|    -) (?P<text>.+)")
_REST = re.compile(r"      ?(?:  )?(?P<text>[^\s*-].*)")


def read_changelog(kernel: Kernel, cache: Cache, *, offline: bool = False) -> str:
    """The changelog in the kernel's packages, which are downloaded unless it is in the cache.

    Empty if they have none, or are not from Debian. Raises FetchError if they cannot be fetched, or
    if `offline` and it is not in the cache.
    """
    if kernel.scheme != "debian":
        return ""
    if offline and not cache.path("changelogs", cache_key(kernel)).is_dir():
        raise FetchError(
            f"the changelog of {kernel.version} is not in the cache; ask again without --offline"
        )
    entry = cache.ensure(
        "changelogs",
        cache_key(kernel),
        lambda entry: _build(kernel, cache, entry),
        Deadline(_SECONDS, f"fetching the changelog of {kernel.name}"),
    )
    return _unpacked((entry / _FILE).read_bytes())


def titles_between(changelog: str, older: str) -> tuple[str, ...]:
    """The items of all releases in a changelog that are newer than the package version `older`:
    titles of commits, and what the distribution itself did.

    A rebuild for another suite (`6.12.117-1~deb12u1`) counts as the build it was made from.
    """
    found: list[str] = []
    for version, items in _releases(changelog):
        if version_key(_original(version)) <= version_key(_original(older)):
            break
        found += items
    return tuple(dict.fromkeys(found))


def _build(kernel: Kernel, cache: Cache, entry: Path) -> None:
    content = b""
    # Of several packages the smallest has it, and the others a link to it.
    for package in sorted(kernel.packages, key=lambda package: package.size):
        with downloaded(package, cache) as path:
            content = archive.changelog(path)
        if content:
            break
    write_whole(entry / _FILE, content)


def _unpacked(content: bytes) -> str:
    """The text, at most 64 MiB of it; empty if that is no gzip."""
    try:
        return zlib.decompressobj(wbits=31).decompress(content, _MOST_BYTES).decode(errors="replace")
    except zlib.error:
        return ""


def _releases(changelog: str) -> Iterator[tuple[str, list[str]]]:
    """Each release with its items, newest first, as the changelog has them."""
    version, items = "", list[str]()
    for line in changelog.splitlines():
        if release := _RELEASE.match(line):
            if version:
                yield version, items
            # linux-signed-amd64 6.12.117+1 is linux 6.12.117-1 with signatures.
            version = release["version"].replace("+", "-", 1) if release["signed"] else release["version"]
            items = []
        elif item := _ITEM.fullmatch(line):
            items.append(item["text"])
        elif items and (rest := _REST.fullmatch(line)):
            items[-1] += f" {rest['text']}"
    if version:
        yield version, items


def _original(version: str) -> str:
    return re.sub(r"~(bpo|deb)\d+.*$", "", version)
