"""Checks what this host has and lacks for a run, and what to do about it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vms.cache import Cache
from vms.capacity import free_memory, processors
from vms.deadline import Deadline
from vms.errors import MatrixError
from vms.kernels.host_apt import host_apt
from vms.qemu import find_qemu
from vms.settings import Debian
from vms.tool import run

GUEST_MEMORY = 512  # MiB
_ROOMY_DISK = 5_000_000_000  # bytes: image, and the default matrix' kernels and templates


@dataclass(frozen=True)
class Finding:
    """The result of one check. `advice` says what to do unless it is `good`."""

    what: str
    good: bool
    found: str
    advice: str = ""


def examine(packages: Path, debian: Debian, cache: Cache) -> Iterator[Finding]:
    """Checks everything that a run needs except the accelerator.

    `packages` lists Debian packages, one per line: its name, and `-` if runs need it.
    """
    yield _packages(packages)
    yield _qemu()
    yield _memory()
    yield _disk(cache)
    yield _mirror(debian)


def _packages(listing: Path) -> Finding:
    lines = [
        line.split() for line in listing.read_text().splitlines() if line.strip() and not line.startswith("#")
    ]
    wanted = [words[0] for words in lines if words[1] == "-"]
    # dpkg-query omits unknown packages and then exits with 1.
    command = [
        "sh",
        "-c",
        'dpkg-query --show --showformat="\\${db:Status-Status} \\${Package}\\n" "$@" 2>/dev/null; true',
        "sh",
        *wanted,
    ]
    try:
        output = run(command, Deadline(20, "asking dpkg which packages are installed"))
    except MatrixError as error:
        return Finding("Debian packages", False, str(error))
    installed = {line.split()[1] for line in output.splitlines() if line.startswith("installed ")}
    missing = [name for name in wanted if name not in installed]
    if missing:
        return Finding(
            "Debian packages",
            False,
            f"missing: {' '.join(missing)}",
            f"apt-get install --no-install-recommends {' '.join(missing)}",
        )
    return Finding("Debian packages", True, f"all {len(wanted)} installed")


def _qemu() -> Finding:
    try:
        qemu = find_qemu()
    except MatrixError as error:
        return Finding("QEMU", False, str(error), "apt-get install qemu-system-x86")
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
        "the default matrix needs about 5 GB; `./invoke prune` removes the least recently used entries",
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
