"""From a kernel to its verified files on this machine."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from vms import tool
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import FetchError
from vms.kernels.apt import download
from vms.kernels.kernel import BootFiles, Kernel

_KIND = "kernels"
_WAIT_SECONDS = 1800  # for another process that downloads the same kernel on a slow line


def fetch(kernel: Kernel, cache: Cache, *, offline: bool = False) -> BootFiles:
    """The kernel's boot files: from the cache, else downloaded, verified against what the archive signed and unpacked.

    Raises FetchError if that fails or if `offline` and it is not held.
    """
    key = cache_key(kernel)
    if offline and not cache.path(_KIND, key).is_dir():
        raise FetchError(f"{kernel.name} is not in the cache; run once without --offline")
    entry = cache.ensure(_KIND, key, lambda staging: _build(kernel, cache, staging), Deadline(_WAIT_SECONDS, f"fetching {kernel.name}"))
    return _boot_files(kernel, entry)


def cached(kernel: Kernel, cache: Cache) -> bool:
    """Whether the kernel's files are held."""
    return cache.path(_KIND, cache_key(kernel)).is_dir()


def cache_key(kernel: Kernel) -> str:
    """Names the kernel's cache entry; made of its packages' sha256s, so the same name always means the same bytes."""
    return hashlib.sha256("".join(sorted(package.sha256 for package in kernel.packages)).encode()).hexdigest()


def _build(kernel: Kernel, cache: Cache, staging: Path) -> None:
    downloads = cache.root / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    for package in kernel.packages:
        deb = downloads / f"{package.sha256}.deb"
        with cache.lock("downloads", package.sha256, Deadline(_WAIT_SECONDS, f"another run to download {package.name}")):
            download(package, deb, cache)
            tool.run(["dpkg-deb", "--extract", str(deb), str(staging)], Deadline(120, f"unpacking {package.name}"))
            deb.unlink()
    shutil.rmtree(staging / "usr" / "share", ignore_errors=True)
    modules = _modules(staging, kernel.name)
    vmlinuz = _vmlinuz(staging, modules)
    if not (modules / "modules.dep").exists():
        _depmod(modules)
    config = next((p for p in (modules / "config", staging / "boot" / f"config-{modules.name}") if p.exists()), None)
    described = {
        "kernel": kernel.id,
        "vmlinuz": str(vmlinuz.relative_to(staging)),
        "modules": str(modules.relative_to(staging)),
        "config": str(config.relative_to(staging)) if config else None,
        "sha256": {"vmlinuz": _sha256(vmlinuz)} | {Path(p.url).name: p.sha256 for p in kernel.packages},
    }
    (staging / "kernel.json").write_text(json.dumps(described, indent=1))


def _boot_files(kernel: Kernel, entry: Path) -> BootFiles:
    described = json.loads((entry / "kernel.json").read_text())
    return BootFiles(
        kernel=kernel,
        version=Path(described["modules"]).name,
        vmlinuz=entry / described["vmlinuz"],
        modules=entry / described["modules"],
        config=entry / described["config"] if described["config"] else None,
        sha256=described["sha256"],
    )


def _modules(root: Path, name: str) -> Path:
    # usr/lib since /usr was merged, lib before.
    found = [path for path in (*root.glob("usr/lib/modules/*"), *root.glob("lib/modules/*")) if (path / "kernel").is_dir()]
    if len(found) != 1:
        raise FetchError(f"{name}: expected one directory of modules in its packages, found {len(found)}")
    return found[0]


def _vmlinuz(root: Path, modules: Path) -> Path:
    for path in (modules / "vmlinuz", root / "boot" / f"vmlinuz-{modules.name}"):
        if path.exists():
            return path
    raise FetchError(f"{modules.name}: its packages hold modules but no vmlinuz")


def _depmod(modules: Path) -> None:
    # depmod -b DIR wants DIR/lib/modules/VERSION.
    base = modules.parent.parent.parent
    link = None
    if modules.parent.parent.name == "lib" and base.name == "usr":
        base, link = base.parent, base.parent / "lib"
        if link.exists():
            link = None
        else:
            link.symlink_to("usr/lib")
    tool.run(["depmod", "--basedir", str(base), modules.name], Deadline(120, f"listing the modules of {modules.name}"))
    if link:
        link.unlink()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
