"""All kernel builds in the configured suites, newest last.

Up to 6.18 a Debian build is one package, `linux-image-ABI-FLAVOUR`. From 6.19 on it is three:
`linux-binary-` (vmlinuz), `linux-modules-` and `linux-base-` (configuration and symbols);
`linux-image-` only depends on them. The archive drops them at different times, and a build without
all its parts cannot be booted; the catalogue lists those separately, for messages.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import FetchError
from vms.files import write_whole
from vms.kernels.apt import Apt, PackageList
from vms.kernels.kernel import Kernel, Package, check_names, shortened
from vms.kernels.order import build_key, release_of_version, series_of, version_key
from vms.settings import Debian, Suite

HOURS = 3600.0
_FORM = 2  # of catalogue.json; increased when its content changes its meaning
_STANZA = re.compile(rb"^Package: (linux-(?:image|binary|modules|base)-\d[^\n]*-amd64)\n", re.MULTILINE)
_NAME = re.compile(
    r"linux-(?P<part>image|binary|modules|base)-(?P<abi>\d.*?)-(?P<flavour>cloud-amd64|rt-amd64|amd64)"
)
_FLAVOURS = {"cloud-amd64": "cloud", "amd64": "generic", "rt-amd64": "rt"}
_SMALLEST_KERNEL = 1_000_000  # bytes; smaller `linux-image-` packages only depend on one that holds a kernel


@dataclass(frozen=True)
class Incomplete:
    """A build that lacks a part in the suites, so that it cannot be booted.

    `missing` names the packages.
    """

    release: str
    flavour: str
    missing: str
    version: str


@dataclass(frozen=True)
class Catalogue:
    """The kernels of all suites in kernel order. `updated` is the time when the lists were fetched
    (seconds since the epoch).

    `gone` has the ids of builds that the lists name but their archive no longer has, as far as it
    was asked.
    """

    kernels: tuple[Kernel, ...]
    incomplete: tuple[Incomplete, ...] = ()
    updated: float = 0.0
    gone: frozenset[str] = frozenset()

    @classmethod
    def load(
        cls, settings: Debian, cache: Cache, *, offline: bool = False, max_age: float = 6 * HOURS
    ) -> Catalogue:
        """The catalogue of these suites; package lists older than `max_age` seconds are updated
        first.

        `max_age=0` always updates them, `offline` never; those of snapshots are fetched once.
        Raises FetchError if lists cannot be fetched or verified, or if offline there are none.
        """
        present = _present(Apt(settings, cache), cache, offline=offline, max_age=max_age)
        days = [day for suite in settings.suites for day in suite.days]
        return _joined(present, [_past(day, cache, offline=offline) for day in days]) if days else present

    def newest(self, series: str, flavour: str = "cloud") -> Kernel | None:
        """The newest build of a series, None if there is none."""
        return max(
            (k for k in self.kernels if k.series == series and k.flavour == flavour),
            key=build_key,
            default=None,
        )


_Stamp = list[tuple[str, int, int]]


class _Stored(msgspec.Struct):
    form: int
    stamp: _Stamp
    kernels: list[Kernel]
    incomplete: list[Incomplete]


class _Gone(msgspec.Struct):
    stamp: _Stamp
    gone: list[str]


def remember_gone(settings: Debian, cache: Cache, ids: Iterable[str]) -> None:
    """Records that these builds are gone; `Catalogue.load` returns that until the lists change."""
    apt = Apt(settings, cache)
    with cache.lock("apt", apt.key, _deadline()):
        stamp = _stamp(apt)
        stored = _Gone(stamp, sorted(_gone(apt, stamp).union(ids)))
        write_whole(apt.root / "gone.json", msgspec.json.encode(stored))


def _present(apt: Apt, cache: Cache, *, offline: bool, max_age: float) -> Catalogue:
    """The catalogue of the suites that move on."""
    with cache.lock("apt", apt.key, _deadline()):
        if offline and not apt.updated:
            raise FetchError(
                "there are no package lists for these suites in the cache yet; run once without --offline"
            )
        if not offline and apt.stale(max_age):
            apt.update()
        return _read(apt)


def _past(day: Suite, cache: Cache, *, offline: bool) -> Catalogue:
    """The catalogue of one day of a suite. It does not change, so what was read of its lists is
    kept and the lists are not.
    """
    apt = Apt(Debian(suites=(day,)), cache)
    with cache.lock("apt", apt.key, _deadline()):
        known = _stored(apt, [])
        if known:
            return known
        if offline:
            raise FetchError(
                f"the package lists of {day.archive}, suite {day.suite}, are not in the cache yet; run once"
                " without --offline"
            )
        apt.update()
        read = _parsed(apt)
        _keep(apt, [], read)
        shutil.rmtree(apt.root / "lists")
        return read


def _joined(present: Catalogue, past: Iterable[Catalogue]) -> Catalogue:
    """A catalogue of all builds; what its archive no longer has comes from a day when it had it."""
    kernels = {kernel.id: kernel for kernel in present.kernels if kernel.id not in present.gone}
    incomplete = list(present.incomplete)
    for day in past:
        incomplete += day.incomplete
        for kernel in day.kernels:
            kernels.setdefault(kernel.id, kernel)
    gone = present.gone.difference(kernels)
    kernels |= {kernel.id: kernel for kernel in present.kernels if kernel.id in gone}
    whole = {(kernel.flavour, kernel.version) for kernel in kernels.values()}
    lacking = {build for build in incomplete if (build.flavour, build.version) not in whole}
    return Catalogue(
        tuple(sorted(kernels.values(), key=build_key)),
        tuple(sorted(lacking, key=lambda build: (version_key(build.version), build.flavour, build.missing))),
        present.updated,
        gone,
    )


def _deadline() -> Deadline:
    return Deadline(600, "another run to update the package lists")


def _read(apt: Apt) -> Catalogue:
    """Reads the lists, or the result of reading the same lists before: the lists have 180 MB, the
    result 0.3.
    """
    stamp = _stamp(apt)
    known = _stored(apt, stamp)
    if known:
        return known
    read = _parsed(apt)
    _keep(apt, stamp, read)
    return read


def _parsed(apt: Apt) -> Catalogue:
    """What the lists hold."""
    kernels, incomplete = _builds(
        package for source in apt.package_lists() for package in listed(source, _STANZA)
    )
    return Catalogue(tuple(kernels), tuple(incomplete), apt.updated, _gone(apt, _stamp(apt)))


def _stored(apt: Apt, stamp: _Stamp) -> Catalogue | None:
    """What was read before of lists with this stamp; None if nothing was."""
    try:
        stored = msgspec.json.decode((apt.root / "catalogue.json").read_bytes(), type=_Stored)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    if (stored.form, stored.stamp) != (_FORM, stamp):
        return None
    return Catalogue(tuple(stored.kernels), tuple(stored.incomplete), apt.updated, _gone(apt, stamp))


def _keep(apt: Apt, stamp: _Stamp, read: Catalogue) -> None:
    stored = _Stored(_FORM, stamp, list(read.kernels), list(read.incomplete))
    write_whole(apt.root / "catalogue.json", msgspec.json.encode(stored))


def _stamp(apt: Apt) -> _Stamp:
    """A value that changes whenever the lists do."""
    lists = sorted((apt.root / "lists").glob("*_Packages"))
    return [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in lists]


def _gone(apt: Apt, stamp: _Stamp) -> frozenset[str]:
    try:
        stored = msgspec.json.decode((apt.root / "gone.json").read_bytes(), type=_Gone)
    except (FileNotFoundError, msgspec.DecodeError):
        return frozenset()
    return frozenset(stored.gone) if stored.stamp == stamp else frozenset()


def listed(source: PackageList, beginning: re.Pattern[bytes]) -> Iterator[tuple[str, Package]]:
    """The packages of one list whose stanzas begin with what `beginning` matches, with their suite.

    Searching the bytes is 20 times faster than parsing every stanza. Raises FetchError if the list
    says of a kernel package what cannot be: its archive's key only vouches for who wrote it.
    """
    data = source.path.read_bytes()
    for match in beginning.finditer(data):
        end = data.find(b"\n\n", match.start())
        stanza = data[match.start() : end if end >= 0 else len(data)].decode(errors="replace")
        fields = dict(
            line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" ")
        )
        try:
            package = Package(
                name=fields["Package"],
                version=fields["Version"],
                sha256=fields["SHA256"],
                size=int(fields["Size"]),
                url=f"{source.archive}/{fields['Filename']}",
            )
            check_names(package.name, release=release_of_version(package.version))
        except KeyError as error:
            raise _unusable(source, fields["Package"], f"it has no {error.args[0]}") from error
        except ValueError as error:
            raise _unusable(source, fields["Package"], str(error)) from error
        yield source.suite, package


def _unusable(source: PackageList, package: str, problem: str) -> FetchError:
    return FetchError(
        f"{source.archive}, suite {source.suite}: its package list cannot be used: {shortened(package)}:"
        f" {problem}; tell whoever runs the archive, or remove the suite from matrix.toml"
    )


def _builds(packages: Iterator[tuple[str, Package]]) -> tuple[list[Kernel], list[Incomplete]]:
    """Combines packages into builds.

    A build in several suites is listed once, under the first suite.
    """
    parts: dict[tuple[str, str, str], dict[str, Package]] = {}
    suites: dict[tuple[str, str, str], str] = {}
    for suite, package in packages:
        match = _NAME.fullmatch(package.name)
        if not match or "unsigned" in package.name:
            continue
        build = (match["abi"], match["flavour"], package.version)
        parts.setdefault(build, {}).setdefault(match["part"], package)
        suites.setdefault(build, suite)
    kernels: list[Kernel] = []
    incomplete: list[Incomplete] = []
    for (abi, flavour, version), found in parts.items():
        release = release_of_version(version)
        image = found.get("image")
        if "binary" in found:
            missing = [f"linux-{part}-{abi}-{flavour}" for part in ("base", "modules") if part not in found]
            if missing:
                incomplete.append(Incomplete(release, _FLAVOURS[flavour], " and ".join(missing), version))
                continue
            files: tuple[Package, ...] = (found["base"], found["binary"], found["modules"])
        elif image and image.size > _SMALLEST_KERNEL:
            files = (image,)
        else:
            continue
        short = _FLAVOURS[flavour]
        kernels.append(
            Kernel(
                name=release if short == "cloud" else f"{release}-{short}",
                id=f"debian:{abi}-{flavour}={version}",
                series=series_of(release),
                release=release,
                flavour=short,
                version=version,
                suite=suites[abi, flavour, version],
                packages=files,
            )
        )
    return sorted(kernels, key=build_key), sorted(incomplete, key=lambda build: version_key(build.version))
