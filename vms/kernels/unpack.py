"""Unpacks a kernel's packages or files into one layout: `vmlinuz`, `config` and
`lib/modules/VERSION` with `modules.dep`.

Distributions differ: vmlinuz is in boot/ or beside the modules, modules are under lib/ or usr/lib/,
compressed or not, in one package or several. Links in packages are dropped: they lead to headers
and sources that are not needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from vms import tool
from vms.deadline import Deadline
from vms.errors import FetchError
from vms.kernels import archive
from vms.kernels.bzimage import release_of
from vms.kernels.digest import digest_of, module_files
from vms.kernels.limits import Limit, limited
from vms.kernels.local import BZIMAGE, tree_modules

_SECONDS = 300
_BATCH = 500  # files on one command line


def packages(paths: Iterable[Path], entry: Path) -> None:
    """Unpacks a kernel from its .deb or .rpm files."""
    root = entry / "unpacked"
    root.mkdir()
    for path in paths:
        archive.extract(path, root)
    _from_root(root, entry)


def tree(path: Path, entry: Path) -> str:
    """Copies the modules of a built kernel tree as `make modules_install` would; returns the digest
    of the modules as they were read.

    Debugging information, up to a hundred times the size of the code, is stripped.
    """
    vmlinuz = entry / "vmlinuz"
    shutil.copyfile(limited(path / BZIMAGE, Limit.VMLINUZ), vmlinuz)
    if (path / ".config").exists():
        shutil.copyfile(limited(path / ".config", Limit.CONFIG), entry / "config")
    modules = entry / "lib" / "modules" / release_of(vmlinuz)
    digest = _copy(tree_modules(path), modules)
    built = sorted(str(module) for module in modules.rglob("*.ko"))
    for start in range(0, len(built), _BATCH):
        tool.run(
            ["strip", "--strip-debug", *built[start : start + _BATCH]],
            Deadline(_SECONDS, f"stripping the modules of {path}"),
        )
    _finish(entry, modules)
    return digest


def image(vmlinuz: Path, modules: Path | None, entry: Path) -> str:
    """Copies a vmlinuz, its installed modules and the configuration found beside either; returns
    the digest of the modules.
    """
    shutil.copyfile(limited(vmlinuz, Limit.VMLINUZ), entry / "vmlinuz")
    release = release_of(entry / "vmlinuz")
    target = entry / "lib" / "modules" / release
    configs = [vmlinuz.with_name(f"config-{release}"), *([modules / "config"] if modules else [])]
    config = next((path for path in configs if path.is_file()), None)
    if config:
        shutil.copyfile(limited(config, Limit.CONFIG), entry / "config")
    if modules and modules.name != release and list(module_files(modules)):
        raise FetchError(f"{vmlinuz} is {release}, the modules in {modules} are for {modules.name}")
    digest = _copy(module_files(modules) if modules else (), target)
    _finish(entry, target)
    return digest


def _from_root(root: Path, entry: Path) -> None:
    releases = sorted(path.name for path in root.glob("lib/modules/*"))
    if len(releases) > 1:
        raise FetchError(
            f"these packages hold modules of several kernels: {', '.join(releases)}; give those of one"
        )
    candidates = [*root.glob("lib/modules/*/vmlinuz"), *sorted(root.glob("boot/vmlinuz*"))]
    if not candidates:
        raise FetchError(
            "these packages hold no vmlinuz; the package with the kernel itself is missing (linux-image,"
            " linux-binary, kernel-core)"
        )
    candidates[0].rename(entry / "vmlinuz")
    release = release_of(entry / "vmlinuz")
    if releases and release not in releases:
        raise FetchError(f"the kernel in these packages is {release}, the modules are for {releases[0]}")
    for config in (root / "lib" / "modules" / release / "config", root / "boot" / f"config-{release}"):
        if config.is_file():
            config.rename(entry / "config")
            break
    if releases:
        (root / "lib").rename(entry / "lib")
    shutil.rmtree(root)
    _finish(entry, entry / "lib" / "modules" / release)


def _copy(files: Iterable[tuple[str, Path]], target: Path) -> str:
    target.mkdir(parents=True)
    for name, path in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(limited(path, Limit.BUILT_MODULE), target / name)
    return digest_of(module_files(target))[0]


def _finish(entry: Path, modules: Path) -> None:
    modules.mkdir(parents=True, exist_ok=True)
    (modules / "System.map").unlink(missing_ok=True)
    # depmod complains without them; a kernel without modules has none
    for name in ("modules.order", "modules.builtin"):
        (modules / name).touch()
    tool.run(
        ["depmod", "--basedir", str(entry), modules.name],
        Deadline(_SECONDS, f"listing the modules of {modules.name}"),
    )
    for name in ("modules.dep", "modules.builtin"):  # read whole whenever the kernel is used
        limited(modules / name, Limit.LIST)
