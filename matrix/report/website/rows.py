"""A row of the record as strips: builds that behave alike, and why the next ones do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matrix.analysis.analysis import ExplainedChange
from matrix.analysis.ledger.explain import Verdict
from matrix.report.page.embedded import PageRow, moved
from matrix.report.page.page import CellView, row_view
from matrix.report.page.strips import strips
from matrix.report.website.contents import Contents, SiteBuild, topic_of
from matrix.report.website.slug import slug
from matrix.report.words import in_words
from matrix.results.record import Record, shown_value
from vms.text import shown

_UNEXPLAINED = "No known commit explains this."
_VERDICTS = {
    Verdict.EXPLAINED: "Explained by:",
    Verdict.UNEXPLAINED: "Known commits explain only a part of this:",
    Verdict.CONTRADICTED: "This is not what the ledger expects of:",
}


@dataclass(frozen=True)
class CommitLink:
    """A commit, and its name in addresses. It is `lost` if the builds before hold it and these lack
    it.
    """

    slug: str
    sentence: str
    title: str
    lost: bool


@dataclass(frozen=True)
class Why:
    """What changed from the builds before, fact by fact, and the commits that the ledger names."""

    verdict: Verdict
    words: str
    moved: tuple[str, ...]
    commits: tuple[CommitLink, ...]


@dataclass(frozen=True)
class Strip:
    """Neighbouring builds that behave alike: how their cell looks, all of its facts, and what
    changed before it.
    """

    builds: tuple[SiteBuild, ...]
    cell: CellView
    status: str
    facts: tuple[tuple[str, str], ...]
    reason: str
    why: Why | None

    @property
    def span(self) -> str:
        """The builds in words."""
        first, last = self.builds[0].entry.name, self.builds[-1].entry.name
        return first if first == last else f"{first} to {last}"


@dataclass(frozen=True)
class SiteRow:
    """A question in the variants that every build answers alike; `label` names them."""

    label: str
    differs: bool
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class SiteQuestion:
    """A question with its rows. One that the catalogue no longer has is a name only."""

    name: str
    slug: str
    topic: str
    question: str
    doc: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    rows: tuple[SiteRow, ...]

    @property
    def differs(self) -> bool:
        """Whether any two builds differ."""
        return any(row.differs for row in self.rows)


def questions(contents: Contents) -> tuple[SiteQuestion, ...]:
    """All questions in the order of the catalogue."""
    rows: dict[str, list[SiteRow]] = {}
    for row, changes in contents.analysis.rows:
        rows.setdefault(row.experiment, []).append(
            _row(PageRow("", row, contents.catalogue.get(row.experiment), changes), contents.builds)
        )
    return tuple(_question(name, contents, found) for name, found in rows.items())


def _question(name: str, contents: Contents, rows: Sequence[SiteRow]) -> SiteQuestion:
    experiment = contents.catalogue.get(name)
    if experiment is None:
        return SiteQuestion(shown(name), slug(name), topic_of(None), "", (), (), tuple(rows))
    first, *more = experiment.doc.split("\n\n")
    return SiteQuestion(
        name,
        slug(name),
        topic_of(experiment),
        experiment.question or first,
        tuple(more),
        tuple((fact.name, fact.meaning) for fact in experiment.facts),
        tuple(rows),
    )


def _row(of: PageRow, builds: Sequence[SiteBuild]) -> SiteRow:
    view = row_view(of, roomy=True)
    return SiteRow(
        view.label,
        view.differs,
        tuple(
            Strip(
                tuple(builds[column : column + span]),
                view.cells[column],
                record.status.value if record else "not asked",
                tuple(_facts(record)),
                shown(record.reason, 1_000) if record else "",
                _why(of.changes, column),
            )
            for column, (span, record) in enumerate(zip(strips(of.row), of.row.records, strict=True))
            if span
        ),
    )


def _facts(record: Record | None) -> Iterator[tuple[str, str]]:
    for name, value in record.facts.items() if record else ():
        yield shown(name, 100), in_words(shown_value(value))


def _why(changes: Mapping[int, ExplainedChange], column: int) -> Why | None:
    change = changes.get(column)
    if change is None:
        return None
    commits = dict.fromkeys(commit for fact in change.facts for commit in fact.explanation.commits)
    return Why(
        change.verdict,
        _VERDICTS[change.verdict] if commits else _UNEXPLAINED,
        tuple(
            f"{shown(fact.difference.fact, 100) or 'the cell'}: "
            f"{moved(fact.difference.before, fact.difference.after)}"
            for fact in change.facts
        ),
        tuple(
            CommitLink(slug(commit.key), commit.sentence, shown(commit.title), commit in change.lost)
            for commit in commits
        ),
    )
