"""An upgrade in plain sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from matrix.ledger.model import ANSWERED, Commit
from matrix.manifest import KernelEntry
from matrix.record import FactValue
from matrix.report.shown import in_words, shown, shown_value
from matrix.upgrade import Chapter, Evidence, Story, Weight
from vms.kernels.order import release_key, series_of

_HEADINGS = {
    Weight.BREAKS: "What breaks",
    Weight.LOST: "Fixes that you lose",
    Weight.GONE: "What is no longer there",
    Weight.UNEXPLAINED: "What changes, and no known commit explains it",
    Weight.CHANGES: "What changes",
    Weight.GAINED: "What works now",
}
_WORD_CHARACTERS = 300


def story_text(story: Story, width: int) -> str:
    """The story, wrapped to `width` columns where that is not 0. Links and paths are never broken."""
    lines: list[str] = [f"From {_build(story.left)} to {_build(story.right)}", "", _overview(story)]
    number = 0
    for weight in Weight:
        chapters = [chapter for chapter in story.chapters if chapter.weight is weight]
        if chapters:
            lines += ["", f"## {_HEADINGS[weight]}"]
        for chapter in chapters:
            number += 1
            lines += ["", *_chapter(number, chapter, story)]
    lines += [*_unseen(story)]
    return "\n".join(_wrapped(line, width) for line in lines) + "\n"


def _overview(story: Story) -> str:
    if not story.compared:
        return "No cell was answered by both, so there is nothing to compare; what follows is what the ledger knows of the two builds."
    explained = {commit.key for chapter in story.chapters for commit in chapter.commits}
    unexplained = sum(not chapter.commits for chapter in story.chapters)
    said = [f"Both answered {story.compared} cells; {_count(story.differing, 'cell is', 'cells are')} answered differently."]
    if explained:
        said.append(
            f"{_count(len(explained), 'known change explains', 'known changes explain')} {'most of that' if unexplained else 'that'}."
        )
    if unexplained:
        said.append(f"For {_count(unexplained, 'difference', 'differences')} no known change does.")
    if story.not_compared:
        said.append(f"{_count(story.not_compared, 'cell', 'cells')} could not be compared: not run on both, unstable, or an error of ours.")
    return " ".join(said)


def _chapter(number: int, chapter: Chapter, story: Story) -> Iterator[str]:
    if chapter.commits:
        sentence = " ".join(commit.sentence for commit in chapter.commits)
        yield f"{number}. {'No longer so: ' if chapter.weight is Weight.LOST else ''}{sentence}"
        for commit in chapter.commits:
            yield f"   {_commit(commit, story, lost=chapter.weight is Weight.LOST)}"
    else:
        yield f"{number}. {shown(chapter.evidence[0].question) or chapter.evidence[0].experiment}"
        for commit in chapter.against:
            yield f"   This is not what the ledger expects of: {commit.title} {commit.link}".rstrip()
    for evidence in chapter.evidence:
        yield f"   - {_seen(evidence)}"
    yield f"   evidence: {chapter.evidence[0].paths[0]}"
    yield f"             {chapter.evidence[0].paths[1]}"


def _seen(evidence: Evidence) -> str:
    where = evidence.experiment + (f" ({evidence.label})" if evidence.label else "")
    if not evidence.fact:
        what = f"{_status(evidence.before)} before, {_status(evidence.after)} now" + (
            f": {_short(evidence.reason)}" if evidence.reason else ""
        )
    else:
        meaning = f" ({shown(evidence.meaning)})" if evidence.meaning else ""
        what = f"{shown(evidence.fact)}{meaning} was {_value(evidence.before)}, is {_value(evidence.after)}"
    return f"{where}: {what}"


def _commit(commit: Commit, story: Story, *, lost: bool) -> str:
    holder, other = (story.left, story.right) if lost else (story.right, story.left)
    return f"{shown(commit.title)}; {_since(commit, holder)}, not in {other.name}. {commit.link}".rstrip()


def _since(commit: Commit, holder: KernelEntry) -> str:
    if commit.distribution:
        return f"Debian's own change, in {holder.name}"
    for release in commit.backports:
        if series_of(release) == holder.series and release_key(release) <= release_key(holder.release):
            return f"in mainline since {commit.mainline}, in {holder.series} since {release}"
    return f"in mainline since {commit.mainline}"


def _unseen(story: Story) -> Iterator[str]:
    for commits, heading, lost in (
        (story.unseen_lost, "Fixes that you lose, not seen by any cell that was run", True),
        (story.unseen_gained, "Known changes that no cell that was run shows", False),
    ):
        if commits:
            yield from ("", f"## {heading}", "")
            for commit in commits:
                yield f"- {commit.sentence}"
                yield f"  {_commit(commit, story, lost=lost)}"


def _build(entry: KernelEntry) -> str:
    about = ", ".join(word for word in (entry.flavour, entry.version, entry.suite) if word and word != entry.name)
    return f"{entry.name} ({about})" if about else entry.name


def _status(value: FactValue | None) -> str:
    return "answered" if value == ANSWERED else str(value)


def _value(value: FactValue | None) -> str:
    return "not there" if value is None else _short(in_words(shown_value(value)))


def _short(text: str) -> str:
    return " ".join(shown(text, _WORD_CHARACTERS).split())


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _wrapped(line: str, width: int) -> str:
    if not width or len(line) <= width or line.lstrip().startswith("evidence:"):
        return line
    body = line.lstrip(" ")
    start = len(line) - len(body)
    hang = start + (len(body) - len(body.lstrip("-0123456789. ")) if body[:1] in "-0123456789" else 0)
    return textwrap.fill(
        body, width, initial_indent=" " * start, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False
    )
