"""Whether a build holds a commit.

"Fixed since X" is never asked: 5.10.259 and 6.12.93 hold a fix that 6.18.15 lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from matrix.analysis.ledger.model import Change, Commit, Ledger
from vms.kernels.kernel import Build
from vms.kernels.order import release_key, series_of, version_key


def contains(build: Build, commit: Commit, surveyed: Mapping[str, str]) -> bool | None:
    """Whether the build holds the commit; None if that is not known.

    The build holds it if its release is the commit's mainline release or later, or if its own or an
    older release of its series has the backport. It lacks the commit if its series was surveyed up
    to its release without finding a backport. A change by Debian is in Debian's builds from the
    named versions on, within a series and in every series after the last.
    """
    if commit.distribution:
        return _distribution(build, commit.distribution)
    if _reaches(build.release, commit.mainline):
        return True
    if any(
        series_of(release) == build.series and _reaches(build.release, release)
        for release in commit.backports
    ):
        return True
    if build.series == series_of(commit.mainline):
        # A release candidate of this series: only if the ledger names a candidate is the first
        # known.
        return False if "~rc" in commit.mainline else None
    read = surveyed.get(build.series)
    return False if read and _reaches(read, build.release) else None


def holds_all(build: Build, change: Change, ledger: Ledger) -> bool | None:
    """Whether the build holds all commits of a change, as far as cells and changelogs say; None if
    that is not known.
    """
    return _all(contains(build, commit, ledger.read) for commit in change.commits)


def known_to_hold_all(build: Build, change: Change, ledger: Ledger) -> bool | None:
    """The same as far as it is known without what cells show."""
    return _all(known_to_hold(build, commit, ledger) for commit in change.commits)


def held_by_one(ledger: Ledger, left: Build, right: Build) -> tuple[list[Commit], list[Commit]]:
    """The commits that only the right and those that only the left build holds, as far as that is
    known.
    """
    gained, lost = [], []
    for commit in ledger.commits.values():
        held = known_to_hold(left, commit, ledger), known_to_hold(right, commit, ledger)
        if held == (False, True):
            gained.append(commit)
        elif held == (True, False):
            lost.append(commit)
    return gained, lost


def known_to_hold(build: Build, commit: Commit, ledger: Ledger) -> bool | None:
    """Whether the build holds the commit, as far as releases and changelogs say; None if they do
    not.

    No build but Debian's is known to lack a commit: who made it may have added what its release
    does not have.
    """
    held = contains(build, commit, ledger.surveyed)
    return held if held or _is_debians(build) else None


def _all(held: Iterable[bool | None]) -> bool | None:
    """Whether all are true; None if that depends on what is not known."""
    seen = set(held)
    if False in seen:
        return False
    return None if None in seen else True


@lru_cache(1 << 16)
def _reaches(release: str, first: str) -> bool:
    """Whether the release is the first one or a later one. Many builds are asked about the same
    commits, and to compare versions takes longer than all else here.
    """
    return bool(release_key(release) >= release_key(first))


def _is_debians(build: Build) -> bool:
    return build.id.startswith("debian:")


def _distribution(build: Build, versions: tuple[str, ...]) -> bool | None:
    if not _is_debians(build):
        return None
    # A rebuild for an older suite, 6.12.95-1~bpo12+1, holds what 6.12.95-1 holds, though its
    # version sorts before.
    version = re.sub(r"~(bpo|deb)\d+.*$", "", build.version)
    if any(
        series_of(first) == build.series and version_key(version) >= version_key(first) for first in versions
    ):
        return True
    return bool(release_key(build.series) > max(release_key(series_of(first)) for first in versions))
