"""Renders what a bisection found as text for a terminal, and as Markdown to be pasted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from matrix.analysis.ledger.explain import Verdict as Explained
from matrix.analysis.ledger.model import Commit
from matrix.bisect.outcome import Answered, Bisection, Interval
from matrix.plan.plan import variant_name
from matrix.report.escape import plain
from matrix.report.words import counted, in_words
from matrix.results.record import FactValue
from vms.program import COMMAND
from vms.text import shown

Escape = Callable[[str], str]


def bisection_text(found: Bisection) -> str:
    """The report for a terminal."""
    return "\n".join(_lines(found, shown)) + "\n"


def bisection_markdown(found: Bisection) -> str:
    """The report in GitHub's Markdown."""
    return "\n".join(_lines(found, plain)) + "\n"


def _lines(found: Bisection, escape: Escape) -> Iterator[str]:
    interval = found.intervals[found.found]
    yield f"# {escape(f'{_cell(found)}: {found.fact}: {_pair(interval)}')}"
    yield ""
    yield escape(f"{found.question} ({found.meaning})")
    yield ""
    yield escape(_sentence(found, interval))
    yield from _why(interval, escape)
    others = [other for other in found.intervals if other is not interval]
    if others:
        yield ""
        yield "## It changes more than once"
        for other in others:
            yield ""
            yield escape(_change(other))
            yield from _why(other, escape)
    yield ""
    yield "## What each build answered"
    yield ""
    yield "```"
    yield from (shown(line) for line in _table(found.builds))
    yield "```"
    yield ""
    yield escape(_effort(found))
    yield ""
    left, right = interval.left.build, interval.right.build
    again = f"{COMMAND} matrix -k {left.version} -k {right.version} -e '{_cell(found)}'"
    yield f"To see it again: `{shown(again)}`"


def _cell(found: Bisection) -> str:
    variant = variant_name(found.variant)
    return f"{found.experiment}[{variant}]" if variant else found.experiment


def _pair(interval: Interval) -> str:
    return f"{interval.left.build.version} .. {interval.right.build.version}"


def _sentence(found: Bisection, interval: Interval) -> str:
    left, right = interval.left.build.version, interval.right.build.version
    text = _change(interval)
    if found.find_fix:
        return f"{text} {right} is the first build known to have the fix, {left} the last before it."
    return f"{text} From {right} on, every build that was asked is like the newest."


def _change(interval: Interval) -> str:
    left, right = interval.left, interval.right
    text = (
        f"{_value(left.value)} in {left.build.version} became {_value(right.value)} in {right.build.version}."
    )
    if interval.unknown:
        names = ", ".join(f"{one.build.version} ({_outcome(one)})" for one in interval.unknown)
        text += f" The builds between them answer neither: {names}."
    return text


def _value(value: FactValue | None) -> str:
    return "nothing" if value is None else f"“{in_words(value)}”"


def _outcome(one: Answered) -> str:
    if one.value is not None:
        return in_words(one.value)
    return f"{one.status}: {one.reason.splitlines()[0]}" if one.reason else str(one.status)


def _why(interval: Interval, escape: Escape) -> Iterator[str]:
    yield ""
    if interval.explained is Explained.EXPLAINED:
        yield "The ledger explains it:"
    elif interval.commits:
        yield f"The ledger does not explain it ({interval.explained}); it names:"
    else:
        yield "The ledger does not explain it."
    if interval.commits:
        yield ""
        yield from (_commit(commit, escape) for commit in interval.commits)
    yield from _listed("Other commits of the ledger that only the right build holds", interval.gained, escape)
    yield from _listed("Commits of the ledger that only the left build holds", interval.lost, escape)
    yield ""
    if interval.no_changelog:
        yield escape(f"The changelog could not be read: {interval.no_changelog}")
        return
    version, older = interval.right.build.version, interval.left.build.version
    if not interval.titles:
        yield escape(f"The changelog of {version} lists no commits that are newer than {older}.")
        return
    yield escape(
        f"The changelog of {version} lists {interval.titles:,} titles that are newer than {older};"
        f" {len(interval.candidates) or 'none'} of them"
        f" {'names' if len(interval.candidates) == 1 else 'name'} what this experiment is about"
        + (", the most likely first:" if interval.candidates else ".")
    )
    if interval.candidates:
        yield ""
        yield from (f"- {escape(title)}" for title in interval.candidates)


def _listed(heading: str, commits: Sequence[Commit], escape: Escape) -> Iterator[str]:
    if commits:
        yield ""
        yield f"{heading}:"
        yield ""
        yield from (_commit(commit, escape) for commit in commits)


def _commit(commit: Commit, escape: Escape) -> str:
    text = f"- {escape(commit.sentence)} ({escape(commit.title)})"
    return f"{text} {commit.link}" if commit.link else text


def _table(builds: Sequence[Answered]) -> Iterator[str]:
    """A line for each build that answered, and one for each stretch of others."""
    width = max(len(one.build.version) for one in builds)
    skipped = 0
    for one in builds:
        if one.status is None:
            skipped += 1
            continue
        if skipped:
            yield f"{'':{width}}  ({skipped} not asked)"
        skipped = 0
        source = f"on record: {one.run}" if one.recorded else "asked now"
        yield f"{one.build.version:{width}}  {one.verdict:7}  {_outcome(one)}  ({source})"


def _effort(found: Bisection) -> str:
    text = f"Of {len(found.builds)} builds, {found.asked} were asked now"
    if found.asked:
        text += f", in {counted(found.steps, 'step')} ({found.seconds:.0f} s)"
    were = "was" if found.recorded == 1 else "were"
    text += f"; {counted(found.recorded, 'answer')} {were} on record, {found.unasked} were not asked."
    if found.unasked:
        text += " A change there and back among those would not be seen."
    return text
