"""The ledger's commits: what each does to packets, and which builds hold it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from matrix.analysis.ledger.contains import known_to_hold
from matrix.analysis.ledger.model import Change, Commit
from matrix.plan.plan import cell_label, variant_name
from matrix.report.page.embedded import moved, where
from matrix.report.website.contents import Contents, SiteBuild
from matrix.report.website.slug import slug
from vms.text import shown


@dataclass(frozen=True)
class Effect:
    """What a commit does to a fact of a question."""

    question: str
    slug: str
    fact: str
    moved: str


@dataclass(frozen=True)
class Holders:
    """The builds of one series by whether they hold a commit."""

    series: str
    holds: tuple[SiteBuild, ...]
    lacks: tuple[SiteBuild, ...]
    unknown: tuple[SiteBuild, ...]


@dataclass(frozen=True)
class Sighting:
    """Two neighbouring builds between which a question shows the commit."""

    question: str
    slug: str
    before: SiteBuild
    after: SiteBuild


@dataclass(frozen=True)
class SiteCommit:
    """A commit with all that the record says of it."""

    commit: Commit
    slug: str
    title: str
    where: str
    effects: tuple[Effect, ...]
    holders: tuple[Holders, ...]
    sightings: tuple[Sighting, ...]


def commits(contents: Contents) -> tuple[SiteCommit, ...]:
    """All commits in the order of the ledger."""
    seen: dict[str, dict[tuple[str, int, int], None]] = {}
    for row, changes in contents.analysis.rows:
        for change in changes.values():
            for key in {commit.key for fact in change.facts for commit in fact.explanation.commits}:
                seen.setdefault(key, {})[row.experiment, change.before, change.after] = None
    return tuple(
        SiteCommit(
            commit,
            slug(commit.key),
            shown(commit.title),
            where(commit),
            tuple(_effect(change) for change in contents.ledger.changes if change.commit == commit),
            tuple(_holders(contents, commit)),
            tuple(
                Sighting(shown(name), slug(name), contents.builds[before], contents.builds[after])
                for name, before, after in seen.get(commit.key, ())
            ),
        )
        for commit in contents.ledger.commits.values()
    )


def _effect(change: Change) -> Effect:
    item = f' "{change.item}"' if change.item else ""
    others = f", with {', '.join(other.key for other in change.besides)}" if change.besides else ""
    return Effect(
        cell_label(change.experiment, variant_name(change.variant)),
        slug(change.experiment),
        f"{change.fact or 'the cell'}{item}",
        f"{_words(change)}{others}",
    )


def _words(change: Change) -> str:
    """The values before and after; of an element of a list whether it is there."""
    if change.item and True in (change.before is True, change.after is True):
        return "is new" if change.after is True else "is gone"
    return moved(change.before, change.after)


def _holders(contents: Contents, commit: Commit) -> Iterator[Holders]:
    for series, group in groupby(contents.builds, key=lambda build: build.entry.series):
        builds = tuple(group)
        states = [known_to_hold(build.entry, commit, contents.ledger) for build in builds]
        yield Holders(series, *(_those(builds, states, state) for state in (True, False, None)))


def _those(
    builds: Sequence[SiteBuild], states: Sequence[bool | None], wanted: bool | None
) -> tuple[SiteBuild, ...]:
    return tuple(build for build, state in zip(builds, states, strict=True) if state is wanted)
