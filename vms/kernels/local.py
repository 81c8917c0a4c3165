"""Kernels on this machine: package files, a built tree, an image, the host's own."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from pathlib import Path

from vms import tool
from vms.deadline import Deadline
from vms.errors import FetchError, UsageError
from vms.kernels import rpm
from vms.kernels.bzimage import release_of
from vms.kernels.digest import digest_of, module_files, sha256_of
from vms.kernels.kernel import Kernel, Package, shortened
from vms.kernels.limits import Limit, limited
from vms.kernels.order import normal_release, release_of_version, series_of
from vms.kernels.spec import Local

BZIMAGE = Path("arch/x86/boot/bzImage")
RELEASE = Path("include/config/kernel.release")
_MODULE = re.compile(r"[A-Za-z0-9_.+~,@=-]+(/[A-Za-z0-9_.+~,@=-]+)*\.k?o")
HOST = Path("/")
"""The root of the running kernel's files."""


def kernel(what: Local, base: Path) -> Kernel:
    """The kernel at those paths, relative to `base`.

    Raises UsageError, with the path, if it cannot be used.
    """
    paths = [(base / Path(path).expanduser()).resolve() for path in what.paths]
    try:
        match what.scheme:
            case "deb":
                return _packaged("deb", [_deb(path) for path in paths])
            case "rpm":
                return _packaged("rpm", [_rpm(path) for path in paths])
            case "tree":
                return _tree(paths[0])
            case "image":
                return _image(
                    "image",
                    paths[0],
                    (base / Path(what.modules).expanduser()).resolve() if what.modules else None,
                )
            case _:
                return _host()
    except OSError as error:
        raise UsageError(f"{what.scheme}: {error.filename}: {error.strerror}") from error
    except FetchError as error:
        raise UsageError(f"{what.scheme}: {error}") from error


def tree_modules(tree: Path) -> Iterator[tuple[str, Path]]:
    """The modules of a built tree by their path in it, as its `modules.order` lists them, and its
    lists of built-in modules. Raises UsageError for what would lead out of the tree, FetchError for
    a list that is too large.
    """
    order = tree / "modules.order"
    listed = limited(_within(tree, order), Limit.LIST).read_text(errors="replace") if order.exists() else ""
    for line in listed.splitlines():
        if not _MODULE.fullmatch(line) or ".." in line.split("/"):
            raise UsageError(f"{order} lists {shortened(line)}, which cannot be a module of this tree")
        # Since 6.3 it lists the object that a module is linked from, before that the .ko.
        place = Path(line).with_suffix(".ko")
        yield f"kernel/{place}", _within(tree, tree / place)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        if (tree / name).exists():
            yield name, _within(tree, tree / name)


def _within(tree: Path, path: Path) -> Path:
    """The path. Raises UsageError if a link in the tree leads it elsewhere: guests get the file, or
    it is taken for what the kernel is.
    """
    if not path.resolve().is_relative_to(tree.resolve()):
        raise UsageError(f"{path} is a link that leads out of the tree {tree}")
    return path


def _packaged(scheme: str, packages: list[Package]) -> Kernel:
    # The package with the kernel has its version; the modules' package may come first in the spec.
    main = next(
        (
            p
            for p in packages
            if re.search(r"image|binary|kernel-core|kernel-default|^kernel(-\d.*)?$", p.name)
        ),
        packages[0],
    )
    release = release_of_version(main.version)
    files = [Path(package.url.removeprefix("file:")).name for package in packages]
    return Kernel(
        name=main.version,
        id=f"{scheme}:{','.join(files)}={main.sha256[:12]}",
        series=series_of(release),
        release=release,
        flavour=scheme,
        version=main.version,
        suite="",
        packages=tuple(packages),
    )


def _deb(path: Path) -> Package:
    with path.open("rb"):
        pass  # fails with the reason if it cannot be opened
    try:
        fields = tool.run(
            ["dpkg-deb", "--show", "--showformat=${Package}\t${Version}", str(path)],
            Deadline(30, f"reading {path}"),
        )
    except tool.ToolFailed as error:
        raise UsageError(f"{path} is not a .deb file: {error.output.strip()}") from error
    name, _, version = fields.partition("\t")
    return _file(path, name, version)


def _rpm(path: Path) -> Package:
    name, version, release = rpm.identify(path)
    return _file(path, name, f"{version}-{release}")


def _tree(tree: Path) -> Kernel:
    image = tree / BZIMAGE
    if not image.exists():
        what = (
            "" if (tree / "Kbuild").exists() or (tree / ".config").exists() else "; this is not a kernel tree"
        )
        raise UsageError(f"tree: there is no {image}{what}; build it first: make bzImage modules")
    for path in (image, tree / ".config", tree / RELEASE):
        _within(tree, path)
    missing = [path for _, path in tree_modules(tree) if not path.exists()]
    if missing:
        raise UsageError(
            f"tree: {missing[0]} and {len(missing) - 1} other modules are not built; run `make modules`, or"
            " disable them in .config"
        )
    version = limited(tree / RELEASE, Limit.LIST).read_text(errors="replace").strip()
    return _own("tree", tree, version, image, tree_modules(tree))


def _image(scheme: str, vmlinuz: Path, modules: Path | None) -> Kernel:
    if modules and not modules.is_dir():
        raise UsageError(f"{scheme}: {modules} is not a directory of modules")
    release = release_of(limited(vmlinuz, Limit.VMLINUZ))
    return _own(scheme, vmlinuz, release, vmlinuz, module_files(modules) if modules else iter(()), modules)


def _host() -> Kernel:
    release = platform.release()
    modules = HOST / "lib/modules" / release
    for vmlinuz in (HOST / f"boot/vmlinuz-{release}", modules / "vmlinuz"):
        if vmlinuz.exists():
            return _image("host", vmlinuz, modules if modules.is_dir() else None)
    raise UsageError(
        f"host: the image of the running kernel {release} is not on this machine (looked for"
        f" /boot/vmlinuz-{release} and {modules}/vmlinuz); this is usual in containers and on cloud machines"
    )


def _own(
    scheme: str,
    place: Path,
    version: str,
    vmlinuz: Path,
    modules: Iterator[tuple[str, Path]],
    modules_at: Path | None = None,
) -> Kernel:
    release = _release(version)
    image = _file(limited(vmlinuz, Limit.VMLINUZ), "vmlinuz", version)
    digest, size = digest_of((name, limited(path, Limit.BUILT_MODULE)) for name, path in modules)
    return Kernel(
        name="host" if scheme == "host" else version,
        id=f"{scheme}:{place}={image.sha256[:12]}{digest[:12]}",
        series=series_of(release),
        release=release,
        flavour=scheme,
        version=version,
        suite="",
        packages=(
            image,
            Package(
                "modules", version, digest, size, f"file:{modules_at or (place if scheme == 'tree' else '')}"
            ),
        ),
    )


def _release(version: str) -> str:
    """The upstream release in the output of `uname -r`: `6.12.117` in `6.12.117+deb13-amd64`,
    `7.4~rc1` in `7.4.0-rc1-00012-g0123abcd`.
    """
    match = re.match(r"\d+\.\d+(\.\d+)?(~rc\d+)?", normal_release(version))
    return match[0] if match else version


def _file(path: Path, name: str, version: str) -> Package:
    return Package(
        name=name, version=version, sha256=sha256_of(path), size=path.stat().st_size, url=f"file:{path}"
    )
