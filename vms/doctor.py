"""Checks what this host has and lacks for a run, and what to do about it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vms.cache import Cache
from vms.capacity import free_memory, processors
from vms.errors import HostError, MatrixError
from vms.kernels.host_apt import host_apt
from vms.mmdebstrap import check_user
from vms.packages import LISTING, install_line, missing, needed
from vms.program import COMMAND
from vms.qemu_binary import find_qemu
from vms.settings import Debian
from vms.virtme import lacking

GUEST_MEMORY = 512  # MiB
_ROOMY_DISK = 5_000_000_000  # bytes: image, and the default matrix' kernels and templates


@dataclass(frozen=True)
class Finding:
    """The result of one check. `advice` says what to do unless it is `good`."""

    what: str
    good: bool
    found: str
    advice: str = ""


def examine(debian: Debian, cache: Cache, packages: Path = LISTING) -> Iterator[Finding]:
    """Checks everything that a run needs except the accelerator.

    `packages` lists Debian packages in the form of `vms.packages.LISTING`.
    """
    yield _packages(packages)
    yield _user()
    yield _qemu()
    yield _memory()
    yield _disk(cache)
    yield _mirror(debian)
    yield _virtme()


def _packages(listing: Path) -> Finding:
    try:
        lacking = missing(listing)
    except HostError as error:
        return Finding("Debian packages", False, str(error))
    if lacking:
        return Finding(
            "Debian packages",
            False,
            f"missing: {' '.join(lacking)}",
            f"as root, run: {install_line(lacking)}",
        )
    return Finding("Debian packages", True, f"all {len(needed(listing))} installed")


def _user() -> Finding:
    try:
        check_user("the guests' userland", Path(tempfile.gettempdir()), fakechroot=True)
    except HostError as error:
        return Finding("user", False, str(error), "or do all of this as root")
    return Finding("user", True, "may make the guests' userland")


def _qemu() -> Finding:
    try:
        qemu = find_qemu()
    except MatrixError as error:
        return Finding("QEMU", False, str(error), "install or repair the package qemu-system-x86")
    return Finding("QEMU", True, f"{qemu.version} ({qemu.path})")


def _memory() -> Finding:
    available = free_memory() >> 20
    found = f"{available} MiB available, {processors()} processors"
    return Finding(
        "memory",
        available >= GUEST_MEMORY,
        found,
        f"a guest needs up to {GUEST_MEMORY} MiB; end other programs",
    )


def _disk(cache: Cache) -> Finding:
    there = next(path for path in (cache.root, *cache.root.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if not os.access(there, os.W_OK):
        return Finding(
            "cache", False, f"{cache.root} cannot be written", "set XDG_CACHE_HOME to a writable directory"
        )
    found = f"{cache.root}, {free / 1e9:.1f} GB free"
    return Finding(
        "cache",
        free >= _ROOMY_DISK,
        found,
        f"the default matrix needs about 5 GB; `{COMMAND} prune` removes the least recently used entries",
    )


def _mirror(debian: Debian) -> Finding:
    mirror = debian.mirror or host_apt().mirror
    said = "matrix.toml" if debian.mirror else "this host's apt"
    return Finding(
        "Debian mirror",
        bool(mirror),
        f"{mirror or 'none'} (from {said})",
        "set `mirror` under [debian] in matrix.toml",
    )


def _virtme() -> Finding:
    """Never bad: only `--backend virtme` needs it."""
    lacks = lacking()
    return Finding("virtme backend", True, f"not usable, this host lacks {lacks}" if lacks else "usable")
