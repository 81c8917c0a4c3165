"""Answers from what is on this machine: the kernels, the questions, the history of a fact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from guest.catalogue import Experiment
from matrix.agents import requests
from matrix.agents.answers import ExperimentLine, KernelLine, Page, SpanLine, page, value_text
from matrix.analysis.answers import Answers, read_answers
from matrix.analysis.ledger.model import Ledger
from matrix.analysis.ledger.read import read_ledger
from matrix.history.database import SECONDS, database_url, open_database
from matrix.history.fold import fold
from matrix.history.query import Line, Span, fact_names, timeline
from matrix.plan.project import Project
from matrix.report.history_plot import build_name
from vms.deadline import Deadline
from vms.errors import UsageError
from vms.kernels.order import build_key
from vms.program import COMMAND
from vms.suggest import suggestion

_EARLIER = 3  # values that a build had before


@dataclass(frozen=True)
class Reader:
    """What runs on this machine found: the results of all of them, read anew for each question."""

    root: Path
    results: Path

    @cached_property
    def project(self) -> Project:
        """The directory's configuration and experiments; no archive is asked."""
        return Project.open(self.root, offline=True)

    @cached_property
    def ledger(self) -> Ledger:
        """The known upstream commits."""
        return read_ledger()

    def answers(self) -> Answers:
        """The newest answer of every cell; runs that cannot be read are left out."""
        return read_answers(self.results, lambda _complaint: None)

    def experiment(self, name: str) -> Experiment:
        """The experiment of this exact name. Raises UsageError if there is none."""
        known = self.project.experiments
        if name not in known:
            listing = "the tool `experiments` lists all"
            raise UsageError(f"there is no experiment {name!r}; {suggestion(name, known, listing)}")
        return known[name]


def kernels(reader: Reader, asked: requests.Kernels) -> Page:
    """The kernels with answers, or those of the package lists in the cache."""
    if asked.available:
        builds = reader.project.builds
        newest = {builds.newest(build.series, build.flavour) for build in builds.kernels}
        found = sorted((build for build in newest if build), key=build_key)
        lines = [KernelLine(build.name, build.version) for build in found]
        return page(lines, asked.offset, asked.limit)
    known = reader.answers().known
    counts = Counter(kernel for kernel, _, _ in known.answers)
    entries = sorted((entry for entry in known.kernels.values() if entry.id in counts), key=build_key)
    return page(
        [KernelLine(entry.name, entry.version, counts[entry.id]) for entry in entries],
        asked.offset,
        asked.limit,
    )


def experiments(reader: Reader, asked: requests.Experiments) -> Page:
    """The experiments in which the word occurs; the one of that name with all about it."""
    known = reader.project.experiments
    if one := known.get(asked.search):
        facts = {fact.name: fact.meaning for fact in one.facts}
        return page([ExperimentLine(one.name, one.question, facts, one.variants)], asked.offset, asked.limit)
    word = asked.search.lower()
    found = [
        ExperimentLine(one.name, one.question)
        for one in known.values()
        if any(word in text.lower() for text in (one.name, one.topic, one.question))
    ]
    return page(found, asked.offset, asked.limit)


def history(reader: Reader, asked: requests.History) -> Page:
    """The fact's values through time, a line per build in groups of variants; or all facts."""
    url = database_url(reader.project.config.history, reader.results)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise UsageError(f"no run is in the history yet; `{COMMAND} history --rebuild` records those here")
    with open_database(url, Deadline(SECONDS, "reading the history")) as engine:
        if not asked.fact:
            return page(fact_names(engine), asked.offset, asked.limit)
        lines = timeline(engine, asked.fact)
    return page(list(_spans(lines)), asked.offset, asked.limit)


def _spans(lines: tuple[Line, ...]) -> Iterator[SpanLine]:
    for group in fold(lines):
        for line in group.lines:
            now = line.spans[-1]
            yield SpanLine(
                group.experiment,
                build_name(line, lines),
                _value(now),
                f"{now.first:%Y-%m-%d}",
                sum(span.runs for span in line.spans),
                group.label,
                tuple(f"{_value(s)} until {s.last:%Y-%m-%d}" for s in line.spans[-2::-1][:_EARLIER]),
            )


def _value(span: Span) -> str:
    return span.status.value if span.value is None else value_text(span.value)
