"""From a kernel's packages or files to one layout: `vmlinuz`, `config` and `lib/modules/VERSION`
with `modules.dep`.

Distributions differ: vmlinuz lies in boot/ or beside the modules, those under lib/ or usr/lib/,
packed or not, in one package or several. Links are dropped: they lead to headers and sources that
are not here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from vms import tool
from vms.deadline import Deadline
from vms.errors import FetchError
from vms.kernels.bzimage import release_of
from vms.kernels.digest import digest_of, module_files
from vms.kernels.local import BZIMAGE, tree_modules

_SECONDS = 300
_BATCH = 500  # files on one command line


def debs(paths: Iterable[Path], entry: Path) -> None:
    """Lays out the kernel that .deb files hold between them."""
    root = entry / "unpacked"
    for path in paths:
        tool.run(
            ["dpkg-deb", "--extract", str(path), str(root)], Deadline(_SECONDS, f"unpacking {path.name}")
        )
    _from_root(root, entry)


def rpms(paths: Iterable[Path], entry: Path) -> None:
    """Lays out the kernel that .rpm files hold between them."""
    root = entry / "unpacked"
    root.mkdir()
    for path in paths:
        tool.run(
            ["bsdtar", "--extract", "--file", str(path), "--directory", str(root)],
            Deadline(_SECONDS, f"unpacking {path.name}"),
        )
    _from_root(root, entry)


def tree(path: Path, entry: Path) -> str:
    """Lays out a built kernel tree as `make modules_install` would; the digest of the modules as
    they were read.

    Debugging information, a hundred times the code where it is on, is left behind.
    """
    vmlinuz = entry / "vmlinuz"
    shutil.copyfile(path / BZIMAGE, vmlinuz)
    if (path / ".config").exists():
        shutil.copyfile(path / ".config", entry / "config")
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
    """Lays out a vmlinuz and its installed modules, and the configuration that lies with either;
    the digest of the modules.
    """
    shutil.copyfile(vmlinuz, entry / "vmlinuz")
    release = release_of(entry / "vmlinuz")
    target = entry / "lib" / "modules" / release
    configs = [vmlinuz.with_name(f"config-{release}"), *([modules / "config"] if modules else [])]
    config = next((path for path in configs if path.is_file()), None)
    if config:
        shutil.copyfile(config, entry / "config")
    if modules and modules.name != release and list(module_files(modules)):
        raise FetchError(f"{vmlinuz} is {release}, the modules in {modules} are for {modules.name}")
    digest = _copy(module_files(modules) if modules else (), target)
    _finish(entry, target)
    return digest


def _from_root(root: Path, entry: Path) -> None:
    found: dict[str, Path] = {}
    for directory in sorted(
        path for path in (*root.glob("lib/modules/*"), *root.glob("usr/lib/modules/*")) if path.is_dir()
    ):
        target = entry / "lib" / "modules" / directory.name
        _merge(directory, target)
        found[directory.name] = target
    if len(found) > 1:
        raise FetchError(
            f"these packages hold modules of several kernels: {', '.join(sorted(found))}; name those of one"
        )
    candidates = [*(modules / "vmlinuz" for modules in found.values()), *sorted(root.glob("boot/vmlinuz*"))]
    vmlinuz = next((path for path in candidates if path.is_file() and not path.is_symlink()), None)
    if vmlinuz is None:
        raise FetchError(
            "these packages hold no vmlinuz; the package with the kernel itself is missing (linux-image,"
            " linux-binary, kernel-core)"
        )
    vmlinuz.rename(entry / "vmlinuz")
    release = release_of(entry / "vmlinuz")
    modules = found.get(release, entry / "lib" / "modules" / release)
    for config in (modules / "config", root / "boot" / f"config-{release}"):
        if config.is_file() and not config.is_symlink():
            config.rename(entry / "config")
            break
    if found and release not in found:
        raise FetchError(
            f"the kernel in these packages is {release}, the modules are for {next(iter(found))}"
        )
    shutil.rmtree(root)
    _finish(entry, modules)


def _merge(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_symlink():
            continue
        if path.is_dir():
            _merge(path, target / path.name)
        else:
            path.rename(target / path.name)


def _copy(files: Iterable[tuple[str, Path]], target: Path) -> str:
    target.mkdir(parents=True)
    for name, path in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)
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
