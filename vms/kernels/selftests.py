"""The kernel's own networking tests, from Debian's package of its source."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import FetchError, UsageError
from vms.kernels.apt import Apt
from vms.kernels.archive import extract_selftests
from vms.kernels.catalogue import Catalogue, listed
from vms.kernels.digest import digest_of
from vms.kernels.fetch import downloaded
from vms.kernels.kernel import Package
from vms.kernels.order import version_key
from vms.settings import Debian
from vms.suggest import suggestion

_KIND = "selftests"
_LAYOUT = 1  # of such an entry; increased when its content changes
_SECONDS = 1800
_STANZA = re.compile(rb"^Package: (linux-source-\d+\.\d+)\n", re.MULTILINE)


def debian_selftests(name: str, settings: Debian, cache: Cache, *, offline: bool = False) -> Path:
    """The directory of the selftests of the newest package of this name, `linux-source-6.12`, from
    the cache or fetched, verified and unpacked now.

    Raises UsageError if no suite has the package, FetchError if it cannot be fetched.
    """
    Catalogue.load(settings, cache, offline=offline)  # brings the package lists up to date
    package = _newest(name, Apt(settings, cache))
    key = hashlib.sha256(f"{_LAYOUT} {package.sha256}".encode()).hexdigest()[:32]
    if offline and not cache.path(_KIND, key).is_dir():
        raise FetchError(f"the selftests of {name} are not in the cache; run once without --offline")
    deadline = Deadline(_SECONDS, f"fetching the selftests of {name}")
    return cache.ensure(_KIND, key, lambda entry: _build(package, cache, entry), deadline, _whole) / "tests"


def _newest(name: str, apt: Apt) -> Package:
    found = [package for source in apt.package_lists() for _, package in listed(source, _STANZA)]
    named = [package for package in found if package.name == name]
    if not named:
        names = sorted({package.name for package in found})
        raise UsageError(f"no Debian suite has the package {name!r}; {suggestion(name, names)}")
    return max(named, key=lambda package: version_key(package.version))


def _build(package: Package, cache: Cache, entry: Path) -> None:
    with downloaded(package, cache) as path:
        extract_selftests(path, entry / "tests")
    if not (entry / "tests").is_dir():
        raise FetchError(f"{package.name} {package.version} holds no selftests of networking")
    about = {
        "kernel": f"{package.name} {package.version}",
        "sha256": package.sha256,
        "content": _content(entry),
    }
    (entry / "selftests.json").write_text(json.dumps(about, indent=1))


def _whole(entry: Path) -> bool:
    try:
        about = json.loads((entry / "selftests.json").read_bytes())
        return bool(about["content"] == _content(entry))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _content(entry: Path) -> str:
    tests = entry / "tests"
    return digest_of((str(path.relative_to(tests)), path) for path in tests.rglob("*") if path.is_file())[0]
