"""A run as a CI shows it: a job's summary in Markdown, an annotation for each finding.

Whatever a guest said is in them. In Markdown nothing of it is interpreted, and as a command for
GitHub's runner it is escaped as GitHub documents it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from matrix.analysis.analysis import Analysis
from matrix.analysis.ledger.explain import Verdict
from matrix.baseline.outcome import Night
from matrix.plan.plan import cell_label, variant_name
from matrix.report.escape import plain
from matrix.report.text.grid import fact_text
from matrix.report.text.markdown import markdown
from matrix.report.text.night import item_line
from matrix.report.text.night import summary as night_summary
from matrix.report.text.terminal import headline, summary
from matrix.report.words import counted
from matrix.results.record import FactValue
from vms.text import shown

GITHUB_MOST = 10
"""GitHub shows at most this many errors of a step."""
GITLAB_MOST = 100
_SUMMARY_BYTES = 900_000  # GitHub takes 1 MiB
_LISTED = 200
_TEXT_CHARACTERS = 1_000


@dataclass(frozen=True)
class Finding:
    """What a person has to look at: a change that is not explained, or a failure."""

    title: str
    text: str


def findings(analysis: Analysis, night: Night | None) -> tuple[Finding, ...]:
    """Of a night what is new since the accepted answers, of a run what differs between its kernels
    and what failed; in the order of the report.
    """
    return tuple(_of_night(night) if night else _of_run(analysis))


def _of_night(night: Night) -> Iterator[Finding]:
    for item in night.unexplained:
        yield Finding(f"{item.verdict} change: {item.experiment} {item.fact}".strip(), item_line(item))
    for cell in night.failures:
        where = f"{cell.experiment} {cell.variant}".strip()
        yield Finding(f"{cell.status}: {where}", f"on {cell.kernel}: {headline(cell.reason)}")


def _of_run(analysis: Analysis) -> Iterator[Finding]:
    kernels = analysis.table.kernels
    for row, change in analysis.unexplained:
        label = cell_label(row.experiment, row.label)
        between = f"{kernels[change.before].name} -> {kernels[change.after].name}"
        for fact in change.facts:
            if (verdict := fact.explanation.verdict) is not Verdict.EXPLAINED:
                found = fact.difference
                values = f"{_value(found.before)} -> {_value(found.after)}"
                yield Finding(f"{verdict} change: {label}", f"{between}: {found.fact or 'status'} {values}")
    for record in analysis.records:
        where = f"{record.experiment} {variant_name(record.variant)}".strip()
        if record.status.is_unexpected:
            yield Finding(f"{record.status}: {where}", f"on {record.kernel}: {headline(record.reason)}")
        for splat in record.compared_splats:
            yield Finding(f"splat: {where}", f"on {record.kernel}: {splat}")


def _value(value: FactValue | None) -> str:
    return "none" if value is None else fact_text(value)


def job_summary(analysis: Analysis, night: Night | None) -> str:
    """The summary of a job: what was found, then the whole table unless it is too large."""
    found = findings(analysis, night)
    first = night_summary(night).partition("\n")[0] if night else summary(analysis.table)
    parts = [f"### {plain(first)}", ""]
    parts += [f"- **{plain(finding.title)}** {plain(shown(finding.text))}" for finding in found[:_LISTED]]
    if len(found) > _LISTED:
        parts.append(f"- and {len(found) - _LISTED} more in the report")
    if not found:
        parts.append("Nothing that is not explained or not accepted.")
    text = "\n".join(parts) + "\n"
    table = markdown(analysis, evidence=False)
    if len(text.encode()) + len(table.encode()) > _SUMMARY_BYTES:
        table = "The table is too large for this page; it is in the report.\n"
    return f"{text}\n{table}"


def github_annotations(found: Sequence[Finding]) -> list[str]:
    """Workflow commands, a line each; the last one counts those that GitHub would not show."""
    listed = list(found if len(found) <= GITHUB_MOST else found[: GITHUB_MOST - 1])
    if len(found) > len(listed):
        more = counted(len(found) - len(listed), "more finding")
        listed.append(Finding(more, "all are in the job's summary and in the report"))
    return [f"::error title={_property(one.title)}::{_data(shown(one.text))}" for one in listed]


def gitlab_annotations(found: Sequence[Finding], page: str) -> bytes:
    """A report of the type `annotations`: a link to the page for each finding."""
    links = [{"external_link": {"label": "report", "url": page}}]
    links += [
        {"external_link": {"label": shown(f"{one.title}: {one.text}"), "url": page}}
        for one in found[:GITLAB_MOST]
    ]
    return msgspec.json.encode({"conntrack-matrix": links})


def _data(text: str) -> str:
    return _replaced(text[:_TEXT_CHARACTERS], {"%": "%25", "\r": "%0D", "\n": "%0A"})


def _property(text: str) -> str:
    return _replaced(
        shown(text)[:_TEXT_CHARACTERS],
        {"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"},
    )


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    return "".join(replacements.get(character, character) for character in text)
