"""A run as Markdown: for a README, a pull request, a CI summary. GitHub's dialect."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from matrix.analysis.analysis import Analysis
from matrix.analysis.table import Row, Table
from matrix.plan.plan import variant_name
from matrix.report.escape import plain
from matrix.report.text.changes import changes
from matrix.report.text.grid import Word, lines
from matrix.report.words import counted
from matrix.results.record import Record, Status
from vms.text import shown

_FOLD_ROWS = 40


def markdown(analysis: Analysis, *, evidence: bool = True) -> str:
    """The whole report.

    Cells that differ from their left neighbour are bold; with `evidence` each cell links to its
    directory.
    """
    table = analysis.table
    manifest, around = table.manifest, table.manifest.surroundings
    counts = ", ".join(f"{number} {status}" for status, number in table.counts.items() if number)
    counts += f"; {table.marked} with splats" if table.marked else ""
    why = around.why.partition(": ")[0]  # what was tried is in the manifest
    parts = [
        f"# Connection tracking, {counted(len(table.kernels), 'kernel')}",
        "",
        (
            f"Run {plain(manifest.run)}, {counted(sum(table.counts.values()), 'cell')}: {counts}. "
            f"Accelerator {plain(around.accelerator.upper())} ({plain(why)}), QEMU {plain(around.qemu)}."
            + (f" Userland: {plain(around.userland)}." if around.userland else "")
        ),
        (
            "Values that differ from the kernel to their left are **bold**. Words with a star are the answer"
            " of other facts than the same words without it."
        ),
        "",
    ]
    fold = len(table.rows) > _FOLD_ROWS
    if fold:
        parts += [f"<details><summary>All {len(table.rows)} rows</summary>", ""]
    parts += [
        "| experiment | " + " | ".join(plain(kernel.name) for kernel in table.kernels) + " |",
        "| --- |" + " ---: |" * len(table.kernels),
    ]
    for row in table.rows:
        parts += _rows(row, evidence)
    parts += ["", "</details>"] if fold else []
    parts += changes(analysis)
    parts += [
        "",
        "## Kernels",
        "",
        "| kernel | package version | suite | `uname -r` |",
        "| --- | --- | --- | --- |",
    ]
    parts += [
        f"| {plain(k.name)} | {plain(k.version)} | {plain(k.suite)} | {plain(k.uname)} |"
        for k in table.kernels
    ]
    if manifest.left_out:
        parts += [
            "",
            f"Left out, because their archive no longer has them: {plain(', '.join(manifest.left_out))}.",
        ]
    parts += splats(table)
    parts += reasons(table)
    return "\n".join(parts) + "\n"


def _rows(row: Row, evidence: bool) -> list[str]:
    text = lines(row)
    label = f"**{plain(text.heading.label)}**"
    for more in (row.question, " / ".join(text.counts) if len(text.counts) > 1 else ""):
        label += f"<br>{plain(more)}" if more else ""
    if text.everywhere:
        label += f"<br>everywhere: {plain(', '.join(f'{fact} {value}' for fact, value in text.everywhere))}"
    first = [
        (f"[{_word(word)}]({_link(record)})" if evidence else _word(word)) if record else ""
        for word, record in zip(text.heading.words, row.records, strict=True)
    ]
    found = [f"| {label} | " + " | ".join(first) + " |"]
    found += [
        f"| {plain(line.label)} | " + " | ".join(_word(word) for word in line.words) + " |"
        for line in text.differing
    ]
    return found


def splats(table: Table) -> list[str]:
    """Lines of Markdown: what kernels reported of themselves, in which cells."""
    parts = [f"- {plain(line)} (while {plain(kernel)} booted)" for kernel, line in table.boots]
    parts += [f"- {plain(splat.line)} ({plain(_cells(records))})" for splat, records in table.splats.items()]
    return ["", "## What kernels reported of themselves", "", *parts] if parts else []


def _cells(records: Sequence[Record]) -> str:
    return ", ".join(dict.fromkeys(f"{record.experiment} on {record.kernel}" for record in records))


def reasons(table: Table) -> list[str]:
    """Lines of Markdown: the cells that did not pass, and why."""
    records = [
        record for row in table.rows for record in row.records if record and record.status is not Status.PASS
    ]
    parts = [
        f"- {plain(r.experiment)} on {plain(r.kernel)}: {r.status}. {plain(shown(r.reason, 500))}"
        for r in records
    ]
    return ["", "## Not passed", "", *parts] if parts else []


def _link(record: Record) -> str:
    return quote(f"../cells/{record.kernel}/{record.experiment}/{variant_name(record.variant)}")


def _word(word: Word) -> str:
    text = plain(word.text)
    return f"**{text}**" if word.changed and text else text
