"""The order of kernels: 7.3~rc7 before 7.3, 6.12.9 before 6.12.10, distribution revisions within a
release.

This is Debian's order of version numbers (deb-version(7)), once a release candidate in the kernel's
own spelling, `7.3-rc7`, is written as Debian does.
"""

from __future__ import annotations

import re
from functools import cache, cmp_to_key
from typing import Any

from debian.debian_support import version_compare

from vms.kernels.kernel import Build

_key = cmp_to_key(version_compare)
_EPOCH = re.compile(r"[0-9]+:(?=.)")
# Debian's flavours in the order of tables; other flavours follow.
_FLAVOURS = ("cloud", "generic", "rt")


def version_key(version: str) -> Any:
    """A sort key for package versions (`6.12.90-2~bpo12+1`)."""
    return _key(_comparable(version))


def release_key(release: str) -> Any:
    """A sort key for releases (`6.12.117`, `7.3~rc7`, `7.3-rc7`) and series (`6.12`)."""
    return _key(_comparable(normal_release(release)))


def _comparable(version: str) -> str:
    """The version as Debian could have it. Other distributions have `_` in theirs, and the run
    directories of strangers anything.
    """
    epoch = _EPOCH.match(version)
    rest = version[epoch.end() :] if epoch else version
    return (epoch[0] if epoch else "") + (re.sub(r"[^A-Za-z0-9.+~-]", ".", rest) or "0")


def build_key(build: Build) -> Any:
    """A sort key for builds: release, then flavour, then the distribution's revision, then the
    name.
    """
    flavour = _FLAVOURS.index(build.flavour) if build.flavour in _FLAVOURS else len(_FLAVOURS)
    return release_key(build.release), flavour, build.flavour, version_key(build.version), build.name


@cache
def normal_release(text: str) -> str:
    """The release as Debian writes it: `7.3.0-rc7` and `7.3-rc7` are `7.3~rc7`, `v6.12` is `6.12`.

    >>> normal_release("7.3-rc7")
    '7.3~rc7'
    """
    text = re.sub(r"^v(?=\d)", "", text)
    return re.sub(r"^(\d+\.\d+)(?:\.0)?-(rc\d+)", r"\1~\2", text)


def release_of_version(version: str) -> str:
    """The release in a package's version: `6.12.90` in `6.12.90-2~bpo12+1`, `6.13~rc3` in
    `6.13.0-rc3-1`.
    """
    return normal_release(version.partition(":")[2] or version).partition("-")[0]


def series_of(release: str) -> str:
    """The series of a release: `6.12` for `6.12.117`, `7.3` for `7.3~rc7`."""
    match = re.match(r"\d+\.\d+", normal_release(release))
    return match[0] if match else release
