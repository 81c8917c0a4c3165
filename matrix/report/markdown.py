"""A run as Markdown: for a README, a pull request, a CI summary. GitHub's dialect."""

from __future__ import annotations

import re
from urllib.parse import quote

from matrix.plan import variant_name
from matrix.record import Record, Status
from matrix.report.grid import Word, lines
from matrix.report.shown import shown
from matrix.table import Row, Table

_FOLD_ROWS = 40


def markdown(table: Table) -> str:
    """The whole report. Cells that differ from their left neighbour are bold; a status leads to the cell's evidence."""
    manifest, around = table.manifest, table.manifest.surroundings
    counts = ", ".join(f"{number} {status}" for status, number in table.counts.items() if number)
    parts = [
        f"# Connection tracking, {len(table.kernels)} kernels",
        "",
        f"Run {_plain(manifest.run)}, {sum(table.counts.values())} cells: {counts}. "
        f"Accelerator {_plain(around.accelerator)} ({_plain(around.why)}), QEMU {_plain(around.qemu)}.",
        "Values that differ from the kernel to their left are **bold**.",
        "",
    ]
    fold = len(table.rows) > _FOLD_ROWS
    if fold:
        parts += [f"<details><summary>All {len(table.rows)} rows</summary>", ""]
    parts += [
        "| experiment | " + " | ".join(_plain(kernel.name) for kernel in table.kernels) + " |",
        "| --- |" + " ---: |" * len(table.kernels),
    ]
    for row in table.rows:
        parts += _rows(row)
    parts += ["", "</details>"] if fold else []
    parts += ["", "## Kernels", "", "| kernel | package version | suite | `uname -r` |", "| --- | --- | --- | --- |"]
    parts += [f"| {_plain(k.name)} | {_plain(k.version)} | {_plain(k.suite)} | {_plain(k.uname)} |" for k in table.kernels]
    parts += _reasons(table)
    return "\n".join(parts) + "\n"


def _rows(row: Row) -> list[str]:
    text = lines(row)
    label = f"**{_plain(text.heading.label)}**"
    for more in (row.question, " / ".join(text.counts) if len(text.counts) > 1 else ""):
        label += f"<br>{_plain(more)}" if more else ""
    if text.everywhere:
        label += f"<br>everywhere: {_plain(', '.join(f'{fact} {value}' for fact, value in text.everywhere))}"
    first = [f"[{_word(word)}]({_link(record)})" if record else "" for word, record in zip(text.heading.words, row.records, strict=True)]
    found = [f"| {label} | " + " | ".join(first) + " |"]
    found += [f"| {_plain(line.label)} | " + " | ".join(_word(word) for word in line.words) + " |" for line in text.differing]
    return found


def _reasons(table: Table) -> list[str]:
    records = [record for row in table.rows for record in row.records if record and record.status is not Status.PASS]
    parts = [f"- {_plain(r.experiment)} on {_plain(r.kernel)}: {r.status}. {_plain(shown(r.reason, 500))}" for r in records]
    return ["", "## Not passed", "", *parts] if parts else []


def _link(record: Record) -> str:
    return quote(f"../cells/{record.kernel}/{record.experiment}/{variant_name(record.variant)}")


def _word(word: Word) -> str:
    text = _plain(word.text)
    return f"**{text}**" if word.changed and text else text


def _plain(text: str) -> str:
    """Text in which nothing means anything to Markdown or HTML."""
    text = re.sub(r"\s*\n\s*", " ", shown(text).strip())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#|~!])", r"\\\1", text)
