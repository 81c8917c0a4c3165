"""Answers what all kernels did in one experiment, and why neighbours differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from guest.catalogue import Experiment
from matrix.agents import requests
from matrix.agents.answers import ChangeLine, CommitLine, Explained, RowLine, page, value_text
from matrix.agents.reading import Reader
from matrix.analysis import analysis
from matrix.analysis.analysis import ExplainedChange
from matrix.analysis.answers import Answers
from matrix.analysis.ledger.model import Commit
from matrix.analysis.table import Row
from matrix.results.manifest import KernelEntry, Manifest, Surroundings
from matrix.results.record import Record
from vms.errors import UsageError
from vms.program import COMMAND
from vms.suggest import suggestion

_EPOCH = "1970-01-01T00:00:00+00:00"
_NOWHERE = Surroundings("", "", "", "", "", "")


def explain(reader: Reader, asked: requests.Explain) -> Explained:
    """The experiment's rows, those with changes first, and the commits that explain these.

    Raises UsageError for an experiment or fact that does not exist, and if no run has answers.
    """
    experiment = reader.experiment(asked.experiment)
    facts = [fact.name for fact in experiment.facts]
    if asked.fact and asked.fact not in facts:
        raise UsageError(f"{experiment.name} has no fact {asked.fact!r}; {suggestion(asked.fact, facts)}")
    manifest, cells = _as_one_run(reader.answers(), experiment)
    if not cells:
        raise UsageError(
            f"no run has answers to {experiment.name}; `{COMMAND} matrix -e {experiment.name}` gets them,"
            " and so does the tool `ask`"
        )
    found = analysis.analyse(manifest, cells, reader.project.experiments, reader.ledger)
    names = tuple(kernel.name for kernel in found.table.kernels)
    rows = [
        (row, [change for change in changes.values() if _about(change, asked.fact)])
        for row, changes in found.rows
    ]
    rows.sort(key=lambda pair: not pair[1])
    shown = rows[asked.offset : asked.offset + asked.limit]
    commits = {
        commit.key: commit
        for _, changes in shown
        for change in changes
        for fact in change.facts
        if asked.fact in ("", fact.difference.fact)
        for commit in fact.explanation.commits
    }
    lines = page([_row(row, changes, names, asked.fact) for row, changes in rows], asked.offset, asked.limit)
    return Explained(experiment.name, experiment.question, names, lines, _commits(commits))


def commit_line(commit: Commit) -> CommitLine:
    """What a program is told of a commit."""
    return CommitLine(commit.title, commit.sentence, commit.mainline, commit.backports, commit.link)


def _commits(commits: Mapping[str, Commit]) -> Mapping[str, CommitLine]:
    return {key: commit_line(commit) for key, commit in commits.items()}


def _as_one_run(answers: Answers, experiment: Experiment) -> tuple[Manifest, list[Record]]:
    """The newest answers to the experiment as if one run had asked them. Kernels of one name, from
    several runs, are told apart by their package versions.
    """
    known = answers.known
    asked = experiment.combinations()
    found = {
        key: answer.record
        for key, answer in known.answers.items()
        if key[1] == experiment.name and answer.record.variant in asked
    }
    entries = [known.kernels[kernel] for kernel in dict.fromkeys(kernel for kernel, _, _ in found)]
    names = [entry.name for entry in entries]
    named = {entry.id: _named(entry, names) for entry in entries}
    manifest = Manifest("", "", _EPOCH, (), 0, (experiment.name,), tuple(named.values()), _NOWHERE)
    return manifest, [replace(cell, kernel=named[kernel].name) for (kernel, _, _), cell in found.items()]


def _named(entry: KernelEntry, names: list[str]) -> KernelEntry:
    return replace(entry, name=entry.id) if names.count(entry.name) > 1 else entry


def _about(change: ExplainedChange, fact: str) -> bool:
    return any(fact in ("", one.difference.fact) for one in change.facts)


def _row(row: Row, changes: list[ExplainedChange], names: tuple[str, ...], fact: str) -> RowLine:
    wanted = [fact] if fact else row.facts
    facts: dict[str, str | tuple[str, ...]] = {}
    for name in wanted:
        values = tuple(_value(cell, name) for cell in row.records)
        facts[name] = values if len(set(values)) > 1 else values[0]
    lines = tuple(line for change in changes for line in _lines(change, names, fact))
    return RowLine(row.label, facts, lines)


def _value(cell: Record | None, fact: str) -> str:
    if cell is None or cell.facts:
        return value_text(cell.facts.get(fact) if cell else None)
    return cell.status.value


def _lines(change: ExplainedChange, names: tuple[str, ...], fact: str) -> Iterator[ChangeLine]:
    lost = {commit.key for commit in change.lost}
    for one in change.facts:
        if fact in ("", one.difference.fact):
            keys = tuple(commit.key for commit in one.explanation.commits)
            yield ChangeLine(
                one.difference.fact or "the cell",
                names[change.before],
                names[change.after],
                value_text(one.difference.before),
                value_text(one.difference.after),
                one.explanation.verdict.value,
                keys,
                tuple(key for key in keys if key in lost),
            )
