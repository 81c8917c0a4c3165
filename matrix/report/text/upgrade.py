"""Renders an upgrade report as text for a terminal, and as Markdown for a ticket."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from matrix.analysis.upgrade import UpgradeReport
from matrix.report.escape import plain
from matrix.report.text.upgrade_sections import Entry, Reason, again, overview, sections, title, unseen
from matrix.report.words import counted


def upgrade_text(report: UpgradeReport, width: int) -> str:
    """The report, wrapped to `width` columns where that is not 0.

    Links and paths are never broken.
    """
    groups = sections(report)
    lines = [title(report), "", overview(report)]
    if groups:
        lines += ["", *(f"  {len(section.entries):>2}  {section.heading}" for section in groups)]
    for section in groups:
        lines += ["", f"## {section.heading}", *([section.advice] if section.advice else [])]
        for entry in section.entries:
            lines += ["", *_entry(entry)]
    for more in unseen(report):
        lines += ["", f"## {more.heading}", ""]
        for sentence, reason in more.commits:
            lines += [f"- {sentence}", f"  {_reason(reason)}"]
    if groups:
        lines += ["", f"To reproduce it: {again(report)}"]
    return "\n".join(_wrapped(line, width) for line in lines) + "\n"


def upgrade_markdown(report: UpgradeReport) -> str:
    """The report in GitHub's Markdown; what was measured is folded in below each sentence."""
    groups = sections(report)
    parts = [f"# {plain(title(report))}", "", plain(overview(report)), ""]
    if groups:
        parts += [
            "| | |",
            "| ---: | --- |",
            *(f"| {len(section.entries)} | {plain(section.heading)} |" for section in groups),
        ]
    for section in groups:
        parts += ["", f"## {plain(section.heading)}", *(["", section.advice] if section.advice else [])]
        for entry in section.entries:
            parts += ["", *_entry_markdown(entry)]
    for more in unseen(report):
        parts += [
            "",
            f"## {plain(more.heading)}",
            "",
            f"<details><summary>{counted(len(more.commits), 'commit')}</summary>",
            "",
        ]
        parts += [f"- {plain(sentence)} {_linked(reason)}" for sentence, reason in more.commits]
        parts += ["", "</details>"]
    if groups:
        parts += ["", f"To reproduce it: `{again(report)}`"]
    return "\n".join(parts) + "\n"


def _entry(entry: Entry) -> Iterator[str]:
    yield f"{entry.number}. {_sentence(entry)}"
    for reason in entry.reasons:
        yield f"   {_reason(reason)}"
    for reason in entry.against:
        yield f"   This is not what the ledger expects of: {reason.title} {reason.link}".rstrip()
    for seen in entry.seen:
        yield f"   - {seen}"
    if entry.paths:
        yield f"   evidence: {_both(entry.paths)}"


def _entry_markdown(entry: Entry) -> Iterator[str]:
    yield f"**{entry.number}.** {plain(_sentence(entry))}"
    for reason in entry.reasons:
        yield f"{_linked(reason)}"
    for reason in entry.against:
        yield f"This is not what the ledger expects of {_linked(reason)}"
    yield ""
    yield f"<details><summary>seen in {counted(len(entry.seen), 'fact')}</summary>"
    yield ""
    for seen in entry.seen:
        yield f"- {plain(seen)}"
    yield ""
    yield "</details>"


def _sentence(entry: Entry) -> str:
    if not entry.together:
        return entry.sentence
    numbers = _numbers(entry.together)
    return (
        f"{entry.sentence} Together with {numbers}." if entry.sentence else f"Caused by {numbers} together."
    )


def _reason(reason: Reason) -> str:
    return f"{reason.title}; {reason.since}. {reason.link}".rstrip()


def _linked(reason: Reason) -> str:
    linked = f"[{plain(reason.title)}]({reason.link})" if reason.link else plain(reason.title)
    return f"({linked}; {plain(reason.since)})" if reason.since else f"({linked})"


def _numbers(numbers: tuple[int, ...]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last


def _both(paths: tuple[str, ...]) -> str:
    """Both directories as one pattern that a shell expands, if only one part of the path differs:
    `results/RUN/cells/{6.1,6.12}/x`.
    """
    before, *after = [Path(path).parts for path in paths]
    differing = [
        place for place, names in enumerate(zip(before, *after, strict=False)) if len(set(names)) > 1
    ]
    if len(after) == 1 and len(before) == len(after[0]) and len(differing) == 1:
        (place,) = differing
        return str(Path(*before[:place], f"{{{before[place]},{after[0][place]}}}", *before[place + 1 :]))
    return " ".join(paths)


def _wrapped(line: str, width: int) -> str:
    if not width or len(line) <= width or line.lstrip().startswith("evidence:"):
        return line
    body = line.lstrip(" ")
    start = len(line) - len(body)
    hang = start + (len(body) - len(body.lstrip("-0123456789. ")) if body[:1] in "-0123456789" else 0)
    return textwrap.fill(
        body,
        width,
        initial_indent=" " * start,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )
