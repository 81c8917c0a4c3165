"""Run by `disks` in a mount namespace of its own: fills the disk that the cache lies
on, and then makes it large enough.

argv: where to mount it, how large (`size=1m`, `nr_inodes=9`: see tmpfs(5)), what is made there
(`kernel`, `initramfs`, `run`), and what that needs. Prints a JSON list: what came of it while the
disk was full, what was published then, and what came of it once there was room.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support import disturbed
from tests.support.specs import kernels_of
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import HostError, MatrixError
from vms.image import Image
from vms.initramfs import prepare
from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import fetch
from vms.kernels.kernel import BootFiles, Kernel
from vms.settings import Debian, Suite


def mount(place: str, options: str) -> None:
    # With its source named mount(8) takes no option from the mount before: there an ordinary user's
    # uid stands, which is none in here.
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place], check=True)


def kernel(cache: Cache, url: str, keyring: str) -> None:
    (found,) = kernels_of(
        ["6.12"], Catalogue.load(Debian(suites=(Suite("stable", url, keyring=keyring),)), cache)
    )
    fetch(found, cache)


def initramfs(cache: Cache, modules: str, busybox: str) -> None:
    of = Kernel("6.1.1", "debian:6.1.1", "6.1", "6.1.1", "cloud", "6.1.1-1", "sid", ())
    files = BootFiles(of, "6.1.0-cloud", Path("vmlinuz"), Path(modules), None, {"vmlinuz": "00"})
    prepare(
        files, Image(Path("no"), Path(busybox), "ab" * 32, {}), cache, Deadline(30, "making what boots 6.1.1")
    )


def run(cache: Cache) -> None:
    # In a process of its own: what ends a run ends every later wait of its process.
    done = subprocess.run(
        [sys.executable, "-m", disturbed.__name__, str(cache.root.with_name("results"))],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise HostError(f"{done.returncode}: {done.stderr}")


_MAKERS: dict[str, Callable[..., None]] = {"kernel": kernel, "initramfs": initramfs, "run": run}


def outcome(make: str, cache: Cache, arguments: list[str]) -> str:
    try:
        _MAKERS[make](cache, *arguments)
    except MatrixError as error:
        return f"{type(error).__name__}: {error}"
    return "made"


def published(root: Path) -> list[str]:
    return sorted(
        f"{path.parent.name}/{path.name}"
        for path in root.glob("*/*")
        if path.is_dir() and path.parent.name != "apt"
    )


def main(place: str, room: str, make: str, *arguments: str) -> None:
    mount(place, room)
    cache = Cache(Path(place) / "cache")
    full = outcome(make, cache, list(arguments))
    held = published(cache.root)
    mount(place, "remount,size=200m,nr_inodes=100k")
    print(json.dumps([full, held, outcome(make, cache, list(arguments))]))


if __name__ == "__main__":
    main(*sys.argv[1:])
