"""A kernel: one bootable build, and the files that boot it.

Its names come from packages, mirrors, lock files and run directories that are not trusted, and some
become paths. So every kernel and package checks its fields when it is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vms.errors import UsageError

RELEASE = re.compile(r"[0-9][A-Za-z0-9._+~-]*")
"""What `uname -r` may be. The kernel bounds it by 64 characters."""
RELEASE_CHARACTERS = 64

_MOST_CHARACTERS = 100
_MOST_BYTES = 4 << 30
_MOST_ID = 8_000  # some ids have paths in them
_PATTERNS = {
    "name": re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~:-]*"),
    "version": re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~:-]*"),
    "release": re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*"),
    "series": re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*"),
    "flavour": re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*"),
    "suite": re.compile(r"([A-Za-z0-9][A-Za-z0-9._+~/-]*)?"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
}


class BadName(UsageError, ValueError):
    """A name, digest or size from outside is invalid."""


def check_names(what: str, **fields: str) -> None:
    """Raises BadName, naming field and value, for a value that the pattern of its field does not
    allow.

    `what` names the owner of the fields. A field is one of name, version, release, series, flavour,
    suite and sha256.
    """
    for field, value in fields.items():
        if len(value) > _MOST_CHARACTERS or not _PATTERNS[field].fullmatch(value) or ".." in value:
            raise BadName(f"{what}: {field} cannot be {shortened(value)}")


def check_size(what: str, size: int) -> None:
    """Raises BadName for a size in bytes that no package of a kernel has."""
    if not 0 <= size <= _MOST_BYTES:
        raise BadName(f"{what}: size cannot be {size}")


def shortened(value: str) -> str:
    """The value in quotes, with control characters escaped and cut to 80 characters."""
    return ascii(value if len(value) <= 80 else f"{value[:79]}…")


@dataclass(frozen=True)
class Package:
    """One part of a kernel: a package file, or a vmlinuz or a directory of modules on this machine.

    `sha256` is the digest that its source signed; for a file on this machine, its digest when the
    kernel was resolved. `url` is where it comes from, `file:` for this machine. `size` is in bytes.
    """

    name: str
    version: str
    sha256: str
    size: int
    url: str

    def __post_init__(self) -> None:
        """Raises BadName: these fields come from packages, mirrors and lock files."""
        check_names(f"package {self.name[:100]!a}", name=self.name, version=self.version, sha256=self.sha256)
        check_size(f"package {self.name}", self.size)


@dataclass(frozen=True)
class Build:
    """The names of one build of a kernel, in plans and in every record of it.

    `name` is its name in tables and directories, unique within a run: the release for Debian's
    cloud flavour (`6.12.117`), more if that is ambiguous, or the user's own name. `id` identifies
    the build: `debian:6.12.117+deb13-cloud-amd64=6.12.117-1`. `suite` is empty for a kernel from no
    archive.
    """

    name: str
    id: str
    series: str
    release: str
    flavour: str
    version: str
    suite: str = ""

    def __post_init__(self) -> None:
        """Raises BadName: these fields come from packages, lock files and strangers' runs."""
        from vms.text import shown

        check_names(
            f"kernel {self.name[:100]!a}",
            name=self.name,
            series=self.series,
            release=self.release,
            flavour=self.flavour,
            version=self.version,
            suite=self.suite,
        )
        if shown(self.id, _MOST_ID) != self.id:
            raise BadName(f"kernel {self.name}: id cannot be {shortened(self.id)}")

    @property
    def scheme(self) -> str:
        """The kind of its source: `debian`, `deb`, `rpm`, `tree`, `image` or `host`."""
        return self.id.partition(":")[0]


@dataclass(frozen=True)
class Kernel(Build):
    """One bootable build with its parts."""

    packages: tuple[Package, ...] = ()

    @property
    def size(self) -> int:
        """The bytes to fetch."""
        return sum(package.size for package in self.packages)


@dataclass(frozen=True)
class BootFiles:
    """The verified files of a kernel on this machine.

    `version` is the output of `uname -r` in the guest. `modules` is the directory with
    `modules.dep` (lib/modules/VERSION); it is empty for a kernel without modules. `config` is its
    .config if the source has one. `sha256` has the digests of `vmlinuz` and of each package, for
    the manifest.
    """

    kernel: Kernel
    version: str
    vmlinuz: Path
    modules: Path
    config: Path | None
    sha256: dict[str, str]
