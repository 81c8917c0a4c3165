"""Answers what differs between two kernels: fact by fact, or as an upgrade."""

from __future__ import annotations

from matrix.agents import requests
from matrix.agents.answers import Compared, FactLine, ItemLine, Upgraded, page, value_text
from matrix.agents.reading import Reader
from matrix.analysis import comparison
from matrix.analysis import upgrade as upgrades
from matrix.analysis.compare import Kind
from matrix.analysis.comparison import Side
from matrix.report.text.upgrade_sections import Entry, Section, overview, sections, title
from vms.errors import UsageError

_SEEN = 2  # facts that an item of an upgrade names
_FAILING = 10  # cells that are named


def compare(reader: Reader, asked: requests.Compare) -> Compared:
    """The facts that are not the same on both sides."""
    if asked.experiment:
        reader.experiment(asked.experiment)
    found = comparison.compare(_side(reader, asked.before), _side(reader, asked.after), reader.ledger)
    lines = [
        FactLine(
            fact.experiment,
            fact.difference.fact or "the cell",
            value_text(fact.difference.before),
            value_text(fact.difference.after),
            fact.difference.kind.value,
            fact.label,
            fact.verdict.value if fact.verdict else "",
            fact.commits,
        )
        for fact in found.facts
        if fact.difference.kind is not Kind.SAME and asked.experiment in ("", fact.experiment)
    ]
    return Compared(
        found.before,
        found.after,
        {kind.value: number for kind, number in found.counts.items()},
        page(lines, asked.offset, asked.limit),
        found.broken[:_FAILING],
    )


def upgrade(reader: Reader, asked: requests.Upgrade) -> Upgraded:
    """The upgrade's report, most serious first."""
    answers = reader.answers()
    report = upgrades.upgrade(
        answers,
        answers.pick(asked.older),
        answers.pick(asked.newer),
        reader.ledger,
        reader.project.experiments,
    )
    lines = [_item(section, entry) for section in sections(report) for entry in section.entries]
    return Upgraded(title(report), overview(report), page(lines, asked.offset, asked.limit))


def _item(section: Section, entry: Entry) -> ItemLine:
    commits = tuple(f"{reason.title}; {reason.since}. {reason.link}".rstrip() for reason in entry.reasons)
    return ItemLine(section.heading, entry.sentence, commits, entry.seen[:_SEEN])


def _side(reader: Reader, spec: str) -> Side:
    """Raises UsageError for a directory elsewhere: a program reads what is under results/."""
    if "/" in spec or spec.startswith("."):
        raise UsageError(f"{spec!r}: give a kernel, the name of a run under results/, or RUN:KERNEL")
    return comparison.read_side(spec, reader.results, lambda _complaint: None)
