"""The builds: what each changed against the build before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from matrix.analysis.upgrade import UpgradeReport, upgrade
from matrix.report.website.contents import Contents, SiteBuild


@dataclass(frozen=True)
class BuildChange:
    """A build, the one before it in kernel order, and what an upgrade from that changes; None for
    the first build.
    """

    build: SiteBuild
    before: SiteBuild | None
    report: UpgradeReport | None

    @property
    def differing(self) -> int:
        """How many cells differ from the build before."""
        return self.report.differing if self.report else 0


def build_changes(contents: Contents) -> tuple[BuildChange, ...]:
    """All builds in kernel order."""
    before: SiteBuild | None = None
    found = []
    for build in contents.builds:
        report = (
            upgrade(contents.answers, before.entry, build.entry, contents.ledger, contents.catalogue)
            if before
            else None
        )
        found.append(BuildChange(build, before, report))
        before = build
    return tuple(found)


def by_series(builds: tuple[BuildChange, ...]) -> Iterator[tuple[str, tuple[BuildChange, ...]]]:
    """The builds of each series."""
    for series, group in groupby(builds, key=lambda change: change.build.entry.series):
        yield series, tuple(group)
