"""What a kernel is: one bootable build and the files that boot it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """One package file that a kernel is made of. `sha256` is what its signed source says it must be."""

    name: str
    version: str
    sha256: str
    size: int
    url: str


@dataclass(frozen=True)
class Kernel:
    """One bootable build.

    `name` is what tables and directories show and is unique within a run: the release for Debian's cloud flavour
    (`6.12.117`), the release and more where that is not enough, or the user's own name.
    `id` says everything: `debian:6.12.117+deb13-cloud-amd64=6.12.117-1`.
    """

    name: str
    id: str
    series: str
    release: str
    flavour: str
    version: str
    suite: str
    packages: tuple[Package, ...]


@dataclass(frozen=True)
class BootFiles:
    """The verified files of a kernel on this machine.

    `modules` is the directory that holds `modules.dep` (lib/modules/VERSION); `config` is its .config where the
    source ships one. `sha256` maps `vmlinuz` and each package file to its digest, for the manifest.
    """

    kernel: Kernel
    version: str
    vmlinuz: Path
    modules: Path
    config: Path | None
    sha256: dict[str, str]
