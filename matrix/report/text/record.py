"""The record as Markdown: the answers of many builds, told once where neighbours answer alike.
GitHub's dialect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matrix.analysis.analysis import Analysis, ExplainedChange
from matrix.analysis.compare import comparable
from matrix.analysis.ledger.explain import Verdict
from matrix.analysis.ledger.model import Commit
from matrix.analysis.table import Row
from matrix.report.escape import plain
from matrix.report.text.changes import commit_line
from matrix.report.text.grid import Word, lines
from matrix.report.text.markdown import reasons, splats
from matrix.report.words import counted
from matrix.results.manifest import KernelEntry


def record_page(analysis: Analysis) -> str:
    """The whole record: each question with its answers from the oldest build to the newest, and
    what each build changed, by which commits.
    """
    table = analysis.table
    kernels, around = table.kernels, table.manifest.surroundings
    counts = ", ".join(f"{number} {status}" for status, number in table.counts.items() if number)
    counts += f"; {table.marked} with splats" if table.marked else ""
    why = around.why.partition(": ")[0]  # what was tried is in the manifests
    changes, commits = _changes(analysis)
    parts = [
        f"# Connection tracking, {counted(len(kernels), 'kernel')}",
        "",
        (
            f"Run {plain(table.manifest.run)}, {counted(sum(table.counts.values()), 'cell')}: {counts}. "
            f"Accelerator {plain(around.accelerator.upper())} ({plain(why)}), QEMU {plain(around.qemu)}."
        ),
        (
            "Answers go from the oldest build to the newest; a **bold** one is that of the named build and of"
            " those after it. Words with a star are the answer of other facts than the same words without"
            " it."
        ),
        "",
        "| question | answers |",
        "| --- | --- |",
        *(_row(row, kernels) for row in table.rows),
        *(
            ["", "## What changed", "", "| builds | question | answers | why |", "| --- | --- | --- | --- |"]
            if changes
            else []
        ),
        *changes,
        *(["", "## Commits"] if commits else []),
        *(line for key, commit in commits.items() for line in ("", f"### {key}", "", commit_line(commit))),
        "",
        "## Builds",
        "",
        "| kernel | package version | suite | `uname -r` |",
        "| --- | --- | --- | --- |",
        *(f"| {plain(k.name)} | {plain(k.version)} | {plain(k.suite)} | {plain(k.uname)} |" for k in kernels),
        *splats(table),
        *reasons(table),
    ]
    return "\n".join(parts) + "\n"


def _row(row: Row, kernels: Sequence[KernelEntry]) -> str:
    """The row's answers, each with the build from which on it is given."""
    label = f"**{plain(lines(row).heading.label)}**" + (f"<br>{plain(row.question)}" if row.question else "")
    told: list[str] = []
    for word, record, kernel in zip(lines(row).heading.words, row.records, kernels, strict=True):
        if record is None or not (comparable(record) or not told):
            continue
        if not told:
            older = "" if kernel is kernels[0] else f"from {plain(kernel.name)}: "
            told.append(f"{older}{plain(word.text)}")
        elif word.changed:
            told.append(f"from {plain(kernel.name)}: **{plain(word.text)}**")
    return f"| {label} | {'; '.join(told)} |"


def _changes(analysis: Analysis) -> tuple[list[str], Mapping[str, Commit]]:
    """A line for each change of a row, build by build, and the commits that explain any, by their
    keys.
    """
    found: list[tuple[int, str]] = []
    commits: dict[str, Commit] = {}
    for row, changes in analysis.rows:
        heading = lines(row).heading
        for column, change in changes.items():
            held = _commits(change)
            commits |= {commit.key: commit for commit in held}
            why = ", ".join(f"[{commit.key}](#{commit.key})" for commit in held)
            verdict = "" if change.verdict is Verdict.EXPLAINED else f"**{change.verdict}**"
            why = " ".join(filter(None, (verdict, why)))
            answers = f"{_text(heading.words[change.before])} → {_text(heading.words[column])}"
            kernels = " → ".join(plain(analysis.table.kernels[one].name) for one in (change.before, column))
            found.append((column, f"| {kernels} | {plain(heading.label)} | {answers} | {why} |"))
    ordered = sorted(found, key=lambda one: -one[0])
    return [line for _, line in ordered], dict(sorted(commits.items()))


def _commits(change: ExplainedChange) -> tuple[Commit, ...]:
    return tuple(dict.fromkeys(commit for fact in change.facts for commit in fact.explanation.commits))


def _text(word: Word) -> str:
    return plain(word.text)
