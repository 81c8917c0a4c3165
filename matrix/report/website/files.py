"""All files of the site."""

from __future__ import annotations

from collections.abc import Iterator

from matrix.report.website.api import api
from matrix.report.website.builds import build_changes
from matrix.report.website.contents import Contents
from matrix.report.website.feed import feed
from matrix.report.website.pages import pages
from vms.directories import File


def files(contents: Contents) -> Iterator[File]:
    """Each file of the site."""
    builds = build_changes(contents)
    yield from pages(contents, builds)
    yield from api(contents)
    yield "changes.atom", feed(contents, builds)
    yield ".nojekyll", b""  # GitHub serves the files as they are
