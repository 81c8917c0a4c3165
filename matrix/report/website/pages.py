"""The site's pages for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from matrix.analysis.ledger.model import Confirmed
from matrix.report.text.upgrade_sections import overview, sections, unseen
from matrix.report.website.builds import BuildChange, by_series
from matrix.report.website.commits import SiteCommit, commits
from matrix.report.website.contents import Contents
from matrix.report.website.html import html
from matrix.report.website.rows import SiteQuestion, questions
from matrix.report.website.slug import slug
from matrix.report.website.story import story
from matrix.report.words import counted
from vms.directories import File
from vms.program import COMMAND

_CONFIRMED = {
    Confirmed.CHANGELOG: "Which stable releases hold it was read in their changelogs.",
    Confirmed.SOURCE: "It was seen in the sources of both sides.",
    Confirmed.MODULES: "It was seen in the modules of both sides.",
    Confirmed.BISECTED: "Two builds that differ in this commit alone were asked.",
}


def pages(contents: Contents, builds: tuple[BuildChange, ...]) -> Iterator[File]:
    """Each page with its path."""
    asked, held = questions(contents), commits(contents)
    spans = {len(strip.builds) for question in asked for row in question.rows for strip in row.strips}
    ends = {"oldest": contents.builds[0].entry.name, "newest": contents.builds[-1].entry.name}
    topics = _topics(asked)
    yield "index.html", _front(contents, builds, topics)
    yield "questions.html", html("questions", "", here="questions", spans=spans, topics=topics, **ends)
    yield "builds.html", html("builds", "", here="builds", series=tuple(by_series(builds)))
    yield "commits.html", html("commits", "", here="commits", commits=held)
    yield "search.html", html("search", "", kind="search", here="search", data=_things(builds, asked, held))
    for topic, name, some in topics:
        path = f"topic/{name}"
        yield (
            f"{path}.html",
            html("topic", "../", api=f"{path}.json", spans=spans, topic=topic, questions=some, **ends),
        )
    for question in asked:
        yield f"question/{question.slug}.html", _question(contents, question)
    for place, change in enumerate(builds):
        after = builds[place + 1].build if place + 1 < len(builds) else None
        yield f"build/{change.build.slug}.html", _build(contents, change, after, held)
    for one in held:
        path = f"commit/{one.slug}"
        context: dict[str, Any] = {"of": one, "confirmed": _CONFIRMED[one.commit.confirmed]}
        yield f"{path}.html", html("commit", "../", api=f"{path}.json", **context)


def _front(contents: Contents, builds: tuple[BuildChange, ...], topics: Sequence[Any]) -> bytes:
    groups = tuple(by_series(builds))
    newest = [some[-1].build.entry.name for _, some in groups]
    return html(
        "front",
        "",
        kind="front",
        here="index",
        data=story(contents),
        builds=contents.builds,
        cells=f"{len(contents.analysis.records):,}",
        groups=groups,
        steps=tuple(pairwise(newest)),
        topics=topics,
    )


def _question(contents: Contents, question: SiteQuestion) -> bytes:
    ends = (contents.builds[0], contents.builds[-1])
    return html(
        "question",
        "../",
        api=f"question/{question.slug}.json",
        spans={len(strip.builds) for row in question.rows for strip in row.strips},
        question=question,
        topic=slug(question.topic),
        command=COMMAND,
        ends=ends if len(contents.builds) > 1 else ends[:1],
    )


def _build(contents: Contents, change: BuildChange, after: Any, held: Sequence[SiteCommit]) -> bytes:
    build, report = change.build, change.report
    answered = sum(record.kernel == build.entry.name for record in contents.analysis.records)
    return html(
        "build",
        "../",
        api=f"build/{build.slug}.json",
        build=build,
        before=change.before,
        after=after,
        counts=counted(answered, "cell"),
        overview=overview(report) if report else "",
        sections=sections(report) if report else (),
        unseen=unseen(report) if report else (),
        pages={one.title: one.slug for one in held},
        boot=build.entry.boot.lines,
    )


def _topics(asked: Sequence[SiteQuestion]) -> tuple[tuple[str, str, tuple[SiteQuestion, ...]], ...]:
    """Each topic with its name in addresses and its questions."""
    names = dict.fromkeys(question.topic for question in asked)
    return tuple(
        (name, slug(name), tuple(question for question in asked if question.topic == name)) for name in names
    )


def _things(
    builds: Sequence[BuildChange], asked: Sequence[SiteQuestion], held: Sequence[SiteCommit]
) -> list[tuple[str, str, str, str, str]]:
    """What can be found: its kind, its name, a text about it, its page, and further words."""
    return [
        *(
            ("topic", name, counted(len(some), "question"), f"topic/{place}.html", "")
            for name, place, some in _topics(asked)
        ),
        *(
            (
                "build",
                change.build.entry.name,
                f"{change.build.entry.flavour}, {change.build.entry.version}, {change.build.entry.suite}",
                f"build/{change.build.slug}.html",
                change.build.entry.id,
            )
            for change in builds
        ),
        *(
            (
                "question",
                question.name,
                question.question,
                f"question/{question.slug}.html",
                " ".join((question.topic, *(name for name, _ in question.facts))),
            )
            for question in asked
        ),
        *(
            (
                "commit",
                one.title,
                one.commit.sentence,
                f"commit/{one.slug}.html",
                f"{one.commit.hash} {one.where}",
            )
            for one in held
        ),
    ]
