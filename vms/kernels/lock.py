"""`matrix.lock`: for every spec of the matrix the exact packages, with sha256, that it meant when
the lock was made.

The file is JSON, to be committed. A run with it boots the same bytes, or reports why it cannot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from vms.decode import Undecodable, decode
from vms.errors import FetchError, UsageError
from vms.files import write_whole
from vms.kernels.catalogue import Catalogue
from vms.kernels.kernel import Kernel
from vms.kernels.resolve import resolve, unique
from vms.kernels.spec import Spec
from vms.program import COMMAND

FORM = 1
"""Version of the form of the file; increased when a reader of the old form would misread the new
one.
"""


class _Form(msgspec.Struct):
    form: int = FORM


@dataclass(frozen=True)
class Locked:
    """The kernels that one spec meant, oldest first."""

    spec: str
    kernels: tuple[Kernel, ...]


@dataclass(frozen=True)
class Lock:
    """The content of a lock file, in the order of the matrix's specs."""

    locked: tuple[Locked, ...]
    form: int = FORM

    @property
    def specs(self) -> frozenset[str]:
        """The specs in it."""
        return frozenset(locked.spec for locked in self.locked)

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all kernels in it."""
        return frozenset(kernel.id for locked in self.locked for kernel in locked.kernels)


def make(specs: Sequence[Spec], catalogue: Catalogue, base: Path, old: Lock | None = None) -> Lock:
    """Makes a lock for these specs. Specs in `old` keep their kernels; without `old` all are locked
    to the newest builds.

    Raises UsageError as `resolve` does.
    """
    known = {locked.spec: locked for locked in old.locked} if old else {}
    return Lock(
        tuple(
            known.get(text) or Locked(text, resolve(spec, catalogue, base))
            for text, spec in {spec.text: spec for spec in specs}.items()
        )
    )


def kernels(
    lock: Lock, specs: Iterable[Spec], base: Path, catalogue: Catalogue | None = None
) -> tuple[Kernel, ...]:
    """The kernels that these specs mean according to the lock, in kernel order and with unique
    names.

    Packages that the `catalogue` has with the same sha256 are fetched from its mirror, others from
    the URL in the lock. Raises UsageError for a spec that is not in the lock, FetchError for files
    on this machine that have changed since it was made.
    """
    known = {locked.spec: locked for locked in lock.locked}
    here = (
        {package.sha256: package.url for kernel in catalogue.kernels for package in kernel.packages}
        if catalogue
        else {}
    )
    found: list[Kernel] = []
    for spec in specs:
        if spec.text not in known:
            raise UsageError(
                f"{spec.text!r} is not in the lock file, which holds {', '.join(known) or 'nothing'};"
                f" `{COMMAND} lock` adds it"
            )
        for kernel in known[spec.text].kernels:
            if kernel.scheme == "debian":
                packages = tuple(
                    replace(package, url=here.get(package.sha256, package.url)) for package in kernel.packages
                )
                found.append(replace(kernel, packages=packages))
            else:
                found.append(_unchanged(kernel, spec, base))
    return unique(found)


def new_since(lock: Lock, now: Iterable[Kernel]) -> tuple[Kernel, ...]:
    """The kernels of `now` that are not in the lock."""
    return tuple(kernel for kernel in now if kernel.id not in lock.ids)


def read(path: Path) -> Lock:
    """Reads a lock file.

    Raises UsageError, with the field, if there is none, or it is malformed or of another form.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; `{COMMAND} lock` creates it") from error
    try:
        form = decode(content, _Form).form
        if form == FORM:
            return decode(content, Lock)
    except Undecodable as error:
        raise UsageError(
            f"{path} is not a lock file: {error}; restore it from version control, or run `{COMMAND}"
            " lock --upgrade` to lock the newest kernels"
        ) from error
    raise UsageError(
        f"{path} has form {form} and was written by {'a newer' if form > FORM else 'an older'} version of"
        f" conntrack-matrix; this one reads form {FORM}: use the version that wrote it, or run `{COMMAND}"
        " lock --upgrade` to lock the newest kernels"
    )


def write(lock: Lock, path: Path) -> None:
    """Writes the lock file in one step."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(lock), indent=2) + b"\n")


def _unchanged(kernel: Kernel, spec: Spec, base: Path) -> Kernel:
    (now,) = resolve(spec, Catalogue(()), base)
    for locked, found in zip(kernel.packages, now.packages, strict=False):
        if locked.sha256 != found.sha256:
            raise FetchError(
                f"{spec.text!r}: {found.name} has changed since it was locked (sha256 {found.sha256}, locked"
                f" {locked.sha256}); `{COMMAND} lock --upgrade` locks its present state"
            )
    return now
