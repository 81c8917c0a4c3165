"""Resolves one parsed spec to the kernels it means."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from vms.errors import UsageError
from vms.kernels import local
from vms.kernels.catalogue import Catalogue
from vms.kernels.kernel import Build, Kernel
from vms.kernels.order import build_key, release_key, version_key
from vms.kernels.spec import Builds, Exact, Local, Point, Spec, Word
from vms.program import COMMAND

LONGTERM = ("5.10", "5.15", "6.1", "6.6", "6.12", "6.18")
"""The series that kernel.org maintains as longterm (https://www.kernel.org/category/releases.html)."""

_NEAR = 2  # builds suggested on each side of a kernel that does not exist

B = TypeVar("B", bound=Build)


def resolve(spec: Spec, catalogue: Catalogue, base: Path) -> tuple[Kernel, ...]:
    """The kernels of one spec, oldest first, with the user's name if there is one.

    Their names need not be unique. Paths are relative to `base`. A range has no builds that are
    gone from their archive. Raises UsageError for a spec that names nothing, or whose files are not
    what it says.
    """
    match spec.what:
        case Local():
            found: Sequence[Kernel] = (local.kernel(spec.what, base),)
        case Exact():
            found = _exact(spec.what, catalogue)
        case Word():
            found = _word(spec.what, catalogue)
        case Builds():
            found = _between(spec.what, catalogue)
    if is_range(spec.what):
        found, listed = [kernel for kernel in found if kernel.id not in catalogue.gone], found
        if not found:
            raise UsageError(f"{spec.text}: {gone_text(listed, catalogue)}")
    if spec.name:
        if len(found) != 1:
            raise UsageError(f"kernel spec {spec.text!r} gives one name to {len(found)} kernels")
        found = (replace(found[0], name=spec.name),)
    return tuple(sorted(found, key=build_key))


def is_range(what: Builds | Word | Exact | Local) -> bool:
    """Whether it means all builds between two points."""
    match what:
        case Builds():
            return what.low != what.high or what.low.every
        case Word():
            return what.word == "all"
    return False


def unique(kernels: Iterable[B]) -> tuple[B, ...]:
    """The kernels, each once, in kernel order, with unique names.

    A name that the user gave wins over a generated one; several builds of one release show their
    package version, and names that are still equal are numbered. Raises UsageError if the user gave
    one name to different kernels.
    """
    chosen: dict[str, B] = {}
    for kernel in kernels:
        known = chosen.get(kernel.id)
        if known is None or known.name == own_name(known):
            chosen[kernel.id] = kernel
        elif kernel.name not in (known.name, own_name(kernel)):
            raise UsageError(f"{kernel.id} is named both {known.name!r} and {kernel.name!r}")
    ordered = sorted(chosen.values(), key=build_key)
    given = Counter(kernel.name for kernel in ordered if kernel.name != own_name(kernel))
    for name, count in given.items():
        if count > 1:
            raise UsageError(f"the name {name!r} is given to {count} different kernels")
    ours = Counter(own_name(kernel) for kernel in ordered if kernel.name == own_name(kernel))
    taken = set(given)
    named = []
    for kernel in ordered:
        name = kernel.name
        if name == own_name(kernel):
            if ours[name] > 1 or name in taken:
                name = own_name(kernel, with_version=True)
            number = 2
            while name in taken:
                name = f"{own_name(kernel, with_version=True)}+{number}"
                number += 1
            taken.add(name)
        named.append(replace(kernel, name=name))
    return tuple(named)


def renamed(builds: Iterable[B]) -> tuple[B, ...]:
    """The builds as `unique` names them together, whatever runs with other kernels called them."""
    return unique(replace(build, name=own_name(build)) for build in builds)


def gone_text(kernels: Sequence[Kernel], catalogue: Catalogue) -> str:
    """How many of a range's builds are gone, which ones, and the closest that are not."""
    near = sorted(
        {near for kernel in kernels for near in nearest(kernel.release, catalogue, kernel.flavour)},
        key=build_key,
    )
    count = "1 build that is" if len(kernels) == 1 else f"{len(kernels)} builds that are"
    return (
        f"{count} no longer in the archive ({_versions(kernels)}); closest available:"
        f" {_versions(near) or 'none'}"
    )


def _versions(kernels: Iterable[Kernel]) -> str:
    return ", ".join(kernel.version for kernel in kernels)


def own_name(kernel: Build, *, with_version: bool = False) -> str:
    """The generated name of a kernel: of a Debian build its release, and its flavour unless that is
    `cloud`; of the running kernel `host`; of any other its version.
    """
    if kernel.scheme == "debian":
        return (kernel.version if with_version else kernel.release) + (
            "" if kernel.flavour == "cloud" else f"-{kernel.flavour}"
        )
    if kernel.scheme == "host" and not with_version:
        return "host"
    return f"{kernel.version}-{kernel.scheme}" if with_version else kernel.version


def nearest(release: str, catalogue: Catalogue, flavour: str = "cloud") -> tuple[Kernel, ...]:
    """The newest builds of the releases closest to one that does not exist: up to two older and two
    newer.
    """
    return _neighbours(
        release, [k for k in _available(catalogue) if k.flavour == flavour], lambda kernel: kernel.release
    )


def _neighbours(place: str, kernels: Iterable[Kernel], part: Callable[[Kernel], str]) -> tuple[Kernel, ...]:
    newest = {part(kernel): kernel for kernel in sorted(kernels, key=build_key)}
    ordered = sorted(newest, key=release_key)
    middle = bisect_left([release_key(text) for text in ordered], release_key(place))
    return tuple(newest[text] for text in ordered[max(0, middle - _NEAR) : middle + _NEAR])


def _available(catalogue: Catalogue) -> Sequence[Kernel]:
    return [kernel for kernel in catalogue.kernels if kernel.id not in catalogue.gone]


def _word(what: Word, catalogue: Catalogue) -> Sequence[Kernel]:
    pool = [k for k in catalogue.kernels if k.flavour == what.flavour]
    if what.word == "all":
        found = pool
    elif what.word == "newest":
        found = pool[-1:]
    else:
        found = [kernel for series in LONGTERM if (kernel := catalogue.newest(series, what.flavour))]
    if not found:
        raise UsageError(
            f"the suites hold no {what.flavour} kernel for {what.word!r}; `{COMMAND} kernels` lists what"
            " there is"
        )
    return found


def _exact(what: Exact, catalogue: Catalogue) -> Sequence[Kernel]:
    found = [
        k
        for k in catalogue.kernels
        if k.id.startswith(f"debian:{what.package}=") and what.version in ("", k.version)
    ]
    if not found:
        versions = [k.version for k in catalogue.kernels if k.id.startswith(f"debian:{what.package}=")]
        if versions:
            raise UsageError(
                f"there is no {what.package} of version {what.version} in the suites; there is"
                f" {', '.join(versions)}"
            )
        release = what.version or what.package
        flavour = "cloud" if "-cloud-" in what.package else "rt" if "-rt-" in what.package else "generic"
        near = ", ".join(
            k.id for k in nearest(release.partition("+")[0].partition("-")[0], catalogue, flavour)
        )
        raise UsageError(
            f"there is no package linux-image-{what.package} in the"
            f" suites{_vanished(what.package, flavour, catalogue)}; closest available: {near}"
        )
    return found[-1:]


def _between(what: Builds, catalogue: Catalogue) -> Sequence[Kernel]:
    pool = [k for k in catalogue.kernels if k.flavour == what.flavour]
    found = [k for k in pool if _not_before(what.low, k) and _not_after(what.high, k)]
    if what.low == what.high and not what.low.every:
        found = found[-1:]
    elif what.low.is_series and what.high.is_series and not (what.low.every or what.high.every):
        found = list({kernel.series: kernel for kernel in found}.values())
    if not found:
        raise UsageError(_nothing(what, pool, catalogue))
    return found


def _not_before(low: Point, kernel: Kernel) -> bool:
    if low.is_series:
        return bool(release_key(kernel.series) >= release_key(low.text))
    if "-" in low.text:
        return bool(version_key(kernel.version) >= version_key(low.text))
    return bool(release_key(kernel.release) >= release_key(low.text))


def _not_after(high: Point, kernel: Kernel) -> bool:
    if high.is_series:
        return bool(release_key(kernel.series) <= release_key(high.text))
    if "-" in high.text:
        return bool(version_key(kernel.version) <= version_key(high.text))
    return bool(release_key(kernel.release) <= release_key(high.text))


def _nothing(what: Builds, pool: list[Kernel], catalogue: Catalogue) -> str:
    low, high = what.low, what.high
    asked = low.text if low == high else f"{low.text}..{high.text}"
    if low.is_series and high.is_series:
        near = _neighbours(low.text, pool, lambda kernel: kernel.series)
        listed = ", ".join(f"{kernel.series} (newest {kernel.version})" for kernel in near)
    else:
        near = _neighbours(low.text.partition("-")[0], pool, lambda kernel: kernel.release)
        listed = ", ".join(kernel.version for kernel in near)
    return (
        f"the suites hold no {what.flavour} kernel {asked}{_vanished(low.text, what.flavour, catalogue)}; "
        f"closest available: {listed or 'none'}; `{COMMAND} kernels` lists all"
    )


def _vanished(text: str, flavour: str, catalogue: Catalogue) -> str:
    for build in reversed(catalogue.incomplete):
        if build.flavour == flavour and (
            build.release == text or build.release.startswith(f"{text}.") or text in build.missing
        ):
            return (
                f" that can be installed (the archive removed {build.missing} when a newer build than"
                f" {build.version} was published)"
            )
    return ""
