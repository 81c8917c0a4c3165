"""What a kernel is: one bootable build and the files that boot it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """One thing that a kernel is made of: a package file, or a vmlinuz or a directory of modules on
    this machine.

    `sha256` is what its signed source says it must be; for what lies on this machine, what it was
    when the kernel was resolved. `url` is where it comes from, `file:` for this machine. `size` is
    in bytes.
    """

    name: str
    version: str
    sha256: str
    size: int
    url: str


@dataclass(frozen=True)
class Build:
    """What names one build of a kernel, now and in every record of it.

    `name` is what tables and directories show and is unique within a run: the release for Debian's
    cloud flavour (`6.12.117`), the release and more where that is not enough, or the user's own
    name. `id` says everything: `debian:6.12.117+deb13-cloud-amd64=6.12.117-1`. `suite` is empty for
    a kernel that is in no archive.
    """

    name: str
    id: str
    series: str
    release: str
    flavour: str
    version: str
    suite: str = ""


@dataclass(frozen=True)
class Kernel(Build):
    """One bootable build, and what it is made of."""

    packages: tuple[Package, ...] = ()

    @property
    def scheme(self) -> str:
        """Which kind of source it comes from: `debian`, `deb`, `rpm`, `tree`, `image` or `host`."""
        return self.id.partition(":")[0]

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(package.size for package in self.packages)


@dataclass(frozen=True)
class BootFiles:
    """The verified files of a kernel on this machine.

    `version` is what `uname -r` says in the guest. `modules` is the directory that holds
    `modules.dep` (lib/modules/VERSION); a kernel without modules has an empty one. `config` is its
    .config where the source ships one. `sha256` maps `vmlinuz` and each package to its digest, for
    the manifest.
    """

    kernel: Kernel
    version: str
    vmlinuz: Path
    modules: Path
    config: Path | None
    sha256: dict[str, str]
