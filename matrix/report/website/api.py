"""The site for programs: one JSON document for each thing, under `api/`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from guest.catalogue import Experiment
from matrix.analysis.analysis import ExplainedChange
from matrix.analysis.fact_value import frozen_facts
from matrix.analysis.ledger.contains import known_to_hold
from matrix.analysis.ledger.model import Commit
from matrix.plan.plan import variant_name
from matrix.report.website.contents import Contents, SiteBuild, topic_of
from matrix.report.website.slug import slug
from matrix.results.directory import json_bytes
from matrix.results.record import FactValue, Record, Status
from vms.directories import File
from vms.text import shown

SCHEMA = 1
"""Version of the documents, raised when a reader of the old form would misread the new one."""


@dataclass(frozen=True)
class Link:
    """A thing and the path of its document, from the directory `api/`."""

    name: str
    path: str


@dataclass(frozen=True)
class IndexDocument:
    """`api/index.json`: everything there is, builds in kernel order."""

    builds: tuple[Link, ...]
    questions: tuple[Link, ...]
    commits: tuple[Link, ...]
    topics: tuple[Link, ...]
    schema: int = SCHEMA


@dataclass(frozen=True)
class FactChange:
    """A fact that changed; null where it is absent. The verdict is the ledger's, `commits` are keys
    of its commits.
    """

    fact: str
    before: FactValue | None
    after: FactValue | None
    verdict: str
    commits: tuple[str, ...]


@dataclass(frozen=True)
class BuildChange:
    """A question that a build answers otherwise than the nearest build before it that answered.

    `variants` are the names of those to which this applies, each empty for a question without.
    """

    question: str
    variants: tuple[str, ...]
    against: str
    facts: tuple[FactChange, ...]


@dataclass(frozen=True)
class BuildDocument:
    """`api/build/NAME.json`: a build, what it changed, and by the key of each commit of the ledger
    whether the build holds it: true, false, or null where that is not known.
    """

    name: str
    id: str
    series: str
    release: str
    flavour: str
    version: str
    suite: str
    asked: str
    before: str | None
    changes: tuple[BuildChange, ...]
    commits: dict[str, bool | None]
    schema: int = SCHEMA


@dataclass(frozen=True)
class AnswerDocument:
    """An answer that some builds have given."""

    status: Status
    facts: dict[str, FactValue]
    reason: str


@dataclass(frozen=True)
class VariantDocument:
    """A question in one variant: the answers, and by the name of each build the place of its own
    among them, counted from 0.
    """

    variant: dict[str, str]
    answers: tuple[AnswerDocument, ...]
    builds: dict[str, int]


@dataclass(frozen=True)
class FactDocument:
    """A fact that a question declares. `type` is bool, int, str, list (of str) or dict (str to
    int).
    """

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class QuestionDocument:
    """`api/question/NAME.json`: a question with the answers of all builds."""

    name: str
    topic: str
    question: str
    doc: str
    facts: tuple[FactDocument, ...]
    variants: tuple[VariantDocument, ...]
    schema: int = SCHEMA


@dataclass(frozen=True)
class EffectDocument:
    """What a commit does to a fact: its value without the commit and with it, null where it is
    absent. `item` is one element of a list or one key of a dict, empty for the whole fact; an empty
    `fact` is the cell. `besides` names the commits without which it does nothing to the fact.
    """

    question: str
    variant: dict[str, str]
    fact: str
    item: str
    before: FactValue | None
    after: FactValue | None
    besides: tuple[str, ...]


@dataclass(frozen=True)
class CommitDocument:
    """`api/commit/KEY.json`: a commit, and by the name of each build whether the build holds it:
    true, false, or null where that is not known.

    `mainline` is the first mainline release that holds it, `backports` the first stable release of
    each series that does, `distribution` the package versions instead for a change by Debian.
    `surveyed` has by series the newest release whose changelogs were read: a build of the series
    that is not newer, and for which nothing above says that it holds the commit, lacks it.
    """

    key: str
    title: str
    hash: str
    link: str
    sentence: str
    mainline: str
    backports: tuple[str, ...]
    distribution: tuple[str, ...]
    effects: tuple[EffectDocument, ...]
    builds: dict[str, bool | None]
    surveyed: dict[str, str]
    schema: int = SCHEMA


@dataclass(frozen=True)
class TopicDocument:
    """`api/topic/NAME.json`: a topic and its questions."""

    name: str
    questions: tuple[Link, ...]
    schema: int = SCHEMA


def api(contents: Contents) -> Iterator[File]:
    """Each document with its path."""
    names = dict.fromkeys(row.experiment for row in contents.analysis.table.rows)
    topics: dict[str, list[str]] = {}
    for name in names:
        topics.setdefault(topic_of(contents.catalogue.get(name)), []).append(name)
    builds = tuple(Link(build.entry.name, f"build/{build.slug}.json") for build in contents.builds)
    documents: dict[str, object] = {
        "index": IndexDocument(
            builds,
            tuple(map(_question_link, names)),
            tuple(Link(key, f"commit/{slug(key)}.json") for key in contents.ledger.commits),
            tuple(Link(topic, f"topic/{slug(topic)}.json") for topic in topics),
        )
    }
    for topic, some in topics.items():
        documents[f"topic/{slug(topic)}"] = TopicDocument(topic, tuple(map(_question_link, some)))
    records: dict[str, list[Record]] = {}
    for record in contents.analysis.records:
        records.setdefault(record.experiment, []).append(record)
    for name in names:
        documents[f"question/{slug(name)}"] = _question(name, contents.catalogue.get(name), records[name])
    for column, build in enumerate(contents.builds):
        documents[f"build/{build.slug}"] = _build(contents, column, build)
    for commit in contents.ledger.commits.values():
        documents[f"commit/{slug(commit.key)}"] = _commit(contents, commit)
    for path, document in documents.items():
        yield f"api/{path}.json", json_bytes(document)


def _question_link(name: str) -> Link:
    return Link(shown(name), f"question/{slug(name)}.json")


def _question(name: str, experiment: Experiment | None, records: Iterable[Record]) -> QuestionDocument:
    variants: dict[str, list[Record]] = {}
    for record in records:
        variants.setdefault(variant_name(record.variant), []).append(record)
    return QuestionDocument(
        name,
        topic_of(experiment),
        experiment.question if experiment else "",
        experiment.doc if experiment else "",
        tuple(
            FactDocument(fact.name, fact.type.__name__, fact.meaning)
            for fact in (experiment.facts if experiment else ())
        ),
        tuple(map(_variant, variants.values())),
    )


def _variant(records: list[Record]) -> VariantDocument:
    places: dict[object, int] = {}
    answers: list[AnswerDocument] = []
    builds = {}
    for record in records:
        key = (record.status, frozen_facts(record.facts), record.reason)
        if key not in places:
            places[key] = len(answers)
            answers.append(AnswerDocument(record.status, record.facts, record.reason))
        builds[record.kernel] = places[key]
    return VariantDocument(records[0].variant, tuple(answers), builds)


def _build(contents: Contents, column: int, build: SiteBuild) -> BuildDocument:
    entry = build.entry
    return BuildDocument(
        entry.name,
        entry.id,
        entry.series,
        entry.release,
        entry.flavour,
        entry.version,
        entry.suite,
        build.asked,
        contents.builds[column - 1].entry.name if column else None,
        tuple(
            BuildChange(
                row.experiment,
                tuple(map(variant_name, row.variants)),
                contents.builds[changes[column].before].entry.name,
                _facts(changes[column]),
            )
            for row, changes in contents.analysis.rows
            if column in changes
        ),
        {
            key: known_to_hold(entry, commit, contents.ledger)
            for key, commit in contents.ledger.commits.items()
        },
    )


def _facts(change: ExplainedChange) -> tuple[FactChange, ...]:
    return tuple(
        FactChange(
            fact.difference.fact,
            fact.difference.before,
            fact.difference.after,
            fact.explanation.verdict.value,
            tuple(commit.key for commit in fact.explanation.commits),
        )
        for fact in change.facts
    )


def _commit(contents: Contents, commit: Commit) -> CommitDocument:
    ledger = contents.ledger
    builds: Mapping[str, bool | None] = {
        build.entry.name: known_to_hold(build.entry, commit, ledger) for build in contents.builds
    }
    return CommitDocument(
        commit.key,
        commit.title,
        commit.hash,
        commit.link,
        commit.sentence,
        commit.mainline,
        commit.backports,
        commit.distribution,
        tuple(
            EffectDocument(
                change.experiment,
                dict(change.variant),
                change.fact,
                change.item,
                change.before,
                change.after,
                tuple(other.key for other in change.besides),
            )
            for change in ledger.changes
            if change.commit == commit
        ),
        dict(builds),
        dict(ledger.surveyed),
    )
