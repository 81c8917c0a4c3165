"""The Atom feed: an entry for each build that changed something."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from matrix.report.inline import template
from matrix.report.text.upgrade_sections import overview, sections
from matrix.report.website.builds import BuildChange
from matrix.report.website.contents import Contents

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:conntrack-matrix:changes")


def feed(contents: Contents, builds: tuple[BuildChange, ...]) -> bytes:
    """The feed. The ids of its entries are those of their builds, wherever the site is."""
    entries = tuple(_entries(builds))
    updated = max(build.asked for build in contents.builds)
    return template("site/changes.atom.j2").render(id=_SPACE.urn, updated=updated, entries=entries).encode()


def _entries(builds: tuple[BuildChange, ...]) -> Iterator[dict[str, object]]:
    """What the newest builds changed, the last asked first."""
    for change in sorted(reversed(builds), key=lambda change: change.build.asked, reverse=True):
        if change.report and change.before and change.report.items:
            yield {
                "id": uuid.uuid5(_SPACE, change.build.entry.id).urn,
                "title": f"{change.build.entry.name}, against {change.before.entry.name}",
                "slug": change.build.slug,
                "updated": change.build.asked,
                "overview": overview(change.report),
                "sections": sections(change.report),
            }
