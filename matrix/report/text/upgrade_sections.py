"""An upgrade report as sections of sentences, to be rendered as text or Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from matrix.analysis.fact_value import delta, item_texts
from matrix.analysis.ledger.model import Commit
from matrix.analysis.upgrade import Evidence, Severity, UpgradeItem, UpgradeReport
from matrix.report.text.upgrade_headings import IMPACTS, SEVERITIES
from matrix.report.words import counted, in_words
from matrix.results.manifest import KernelEntry
from matrix.results.record import FactValue, shown_value
from vms.kernels.order import release_key, series_of
from vms.program import COMMAND
from vms.text import shown

_WORD_CHARACTERS = 300
_WHOLE_CHARACTERS = 40
"""A list or map of at most this many characters is printed whole; of a longer one, what differs."""


@dataclass(frozen=True)
class Reason:
    """A commit, and since which release which kernel has it."""

    title: str
    since: str
    link: str


@dataclass(frozen=True)
class Entry:
    """One thing that changes.

    `together`: numbers of the other entries whose commits also contribute; `against`: commits from
    which the ledger predicts another change; `paths`: the cells' directories with the evidence.
    """

    number: int
    sentence: str
    reasons: tuple[Reason, ...]
    together: tuple[int, ...]
    against: tuple[Reason, ...]
    seen: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """Entries of one kind, and advice for the reader."""

    heading: str
    advice: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Unseen:
    """Commits that only one of the kernels has and that no cell shows."""

    heading: str
    commits: tuple[tuple[str, Reason], ...]


def title(report: UpgradeReport) -> str:
    """The report's title: both builds."""
    return f"From {build_title(report.left)} to {build_title(report.right)}"


def overview(report: UpgradeReport) -> str:
    """A few sentences: how many cells differ, and how much of that is explained."""
    if not report.compared:
        return (
            "No cell was answered by both kernels, so there is nothing to compare. The rest is what the"
            " ledger says about the two builds."
        )
    explained = {commit.key for item in report.items for commit in item.commits}
    unexplained = sum(not item.commits for item in report.items)
    said = [
        f"Both kernels answered {counted(report.compared, 'cell')};"
        f" {counted(report.differing, 'cell differs', 'cells differ')}."
    ]
    if explained:
        said.append(
            f"{counted(len(explained), 'known change explains', 'known changes explain')}"
            f" {'most of these' if unexplained else 'them'}."
        )
    if unexplained:
        said.append(f"No known change explains {counted(unexplained, 'difference', 'differences')}.")
    if report.not_compared:
        said.append(
            f"{counted(report.not_compared, 'cell', 'cells')} could not be compared: not run on both,"
            " unstable, or ended in error."
        )
    return " ".join(said)


def again(report: UpgradeReport) -> str:
    """The command that runs an experiment on both kernels again."""
    return f"{COMMAND} matrix -k {report.left.name} -k {report.right.name} -e EXPERIMENT"


def sections(report: UpgradeReport) -> tuple[Section, ...]:
    """The report's items in sections, the most serious first.

    Each commit's sentence appears once, preferably in the entry that this commit alone explains.
    Items that several such commits explain together come last and refer to those entries.
    """
    alone = {item.commits[0].key for item in report.items if len(item.commits) == 1}
    joint = [
        item
        for item in report.items
        if len(item.commits) > 1 and all(commit.key in alone for commit in item.commits)
    ]
    grouped = list(_grouped([item for item in report.items if item not in joint]))
    if joint:
        grouped.append((("Combined effects", ""), joint))
    counter = itertools.count(1)
    numbered = [(words, [(next(counter), item) for item in items]) for words, items in grouped]
    homes: dict[str, int] = {}
    for number, item in (pair for _, pairs in numbered for pair in pairs):
        for commit in item.commits:
            if len(item.commits) == 1 or commit.key not in alone:
                homes.setdefault(commit.key, number)
    return tuple(
        Section(heading, advice, tuple(_entry(number, item, report, homes) for number, item in pairs))
        for (heading, advice), pairs in numbered
    )


def unseen(report: UpgradeReport) -> tuple[Unseen, ...]:
    """Commits of the ledger that only one of the kernels has, beyond those of the items."""
    kinds = (
        ("Fixes that you lose, not seen by any cell that was run", report.unseen_lost, True),
        ("Known changes that no cell that was run shows", report.unseen_gained, False),
    )
    return tuple(
        Unseen(heading, tuple((commit.sentence, _reason(commit, report, lost=lost)) for commit in commits))
        for heading, commits, lost in kinds
        if commits
    )


def _grouped(items: list[UpgradeItem]) -> Iterator[tuple[tuple[str, str], list[UpgradeItem]]]:
    """The items under their heading and advice: by severity, and explained changes by impact."""
    for severity in Severity:
        of = [item for item in items if item.severity is severity]
        if severity is not Severity.CHANGED and of:
            yield SEVERITIES[severity], of
        elif of:
            for impact, words in IMPACTS.items():
                if touching := [item for item in of if item.impact is impact]:
                    yield words, touching


def _entry(number: int, item: UpgradeItem, report: UpgradeReport, homes: dict[str, int]) -> Entry:
    lost = item.severity is Severity.REGRESSION
    here = [commit for commit in item.commits if homes[commit.key] == number]
    elsewhere = tuple(sorted({homes[commit.key] for commit in item.commits if commit not in here}))
    if item.commits:
        sentence = " ".join(commit.sentence for commit in here)
    else:
        sentence = shown(item.evidence[0].question) or item.evidence[0].experiment
    return Entry(
        number,
        f"{'No longer true: ' if lost and here else ''}{sentence}",
        tuple(_reason(commit, report, lost=lost) for commit in here),
        elsewhere,
        tuple(Reason(commit.title, "", commit.link) for commit in item.against),
        tuple(_seen(item.evidence)),
        item.evidence[0].paths,
    )


def _seen(evidence: Iterable[Evidence]) -> Iterator[str]:
    """A line for each fact that differs; before the first of an experiment the answers in words."""
    told: set[tuple[str, tuple[str, ...]]] = set()
    for one in evidence:
        where = one.experiment + (f" ({one.label})" if one.label else "")
        what = what_differs(one.fact, one.meaning, one.before, one.after, reason=one.reason)
        key = one.experiment, one.answers
        fresh = key not in told
        told.add(key)
        yield f"{where}: {answers_in_words(one.answers) if fresh else ''}{what}"


def answers_in_words(answers: Sequence[str]) -> str:
    """What stands before a fact that differs: `no -> yes; `; empty without words."""
    return f"{' -> '.join(answers)}; " if answers else ""


def what_differs(
    fact: str, meaning: str, before: FactValue | None, after: FactValue | None, *, reason: str
) -> str:
    """How a fact differs; with an empty `fact` how the cell as a whole does, for which the kernel
    gave the reason.
    """
    if not fact:
        because = f": {_short(reason)}" if reason else ""
        return f"{_status(before)} before, {_status(after)} now{because}"
    return f"{named(fact, meaning)} {_was_is(before, after)}"


def named(fact: str, meaning: str) -> str:
    """A fact and what it means."""
    return f"{shown(fact)} ({shown(meaning).removeprefix('... ')})" if meaning else shown(fact)


def _was_is(before: FactValue | None, after: FactValue | None) -> str:
    """Both values; of long lists and maps, what differs between them."""
    was, now = _value(before), _value(after)
    if max(len(was), len(now)) > _WHOLE_CHARACTERS:
        differing = delta(before, after)
        without = item_texts(before, differing.gone)
        parts = [
            _listed("", [f"{key} {one} -> {other}" for key, (one, other) in differing.changed.items()]),
            _listed("without", without),
            _listed("with", item_texts(after, differing.new)),
        ]
        if any(parts) and without != before:
            return f"is now {'; '.join(part for part in parts if part)}"
    return f"was {was}{';' if ',' in was + now else ','} is {now}"


def _listed(word: str, items: list[str]) -> str:
    return f"{word} {_short(', '.join(items))}".lstrip() if items else ""


def _reason(commit: Commit, report: UpgradeReport, *, lost: bool) -> Reason:
    holder, other = (report.left, report.right) if lost else (report.right, report.left)
    return Reason(shown(commit.title), f"{since(commit, holder)}, not in {other.name}", commit.link)


def since(commit: Commit, holder: KernelEntry) -> str:
    """Since when a kernel that holds the commit has it."""
    if commit.distribution:
        return f"Debian's own change, in {holder.name}"
    for release in commit.backports:
        if series_of(release) == holder.series and release_key(release) <= release_key(holder.release):
            return f"in mainline since {commit.mainline}, in {holder.series} since {release}"
    return f"in mainline since {commit.mainline}"


def build_title(entry: KernelEntry) -> str:
    """A build as the report's title has it."""
    about = ", ".join(
        word for word in (entry.flavour, entry.version, entry.suite) if word and word != entry.name
    )
    return f"{entry.name} ({about})" if about else entry.name


def _status(value: FactValue | None) -> str:
    return str(value)


def _value(value: FactValue | None) -> str:
    return "absent" if value is None else _short(in_words(shown_value(value)))


def _short(text: str) -> str:
    return " ".join(shown(text, _WORD_CHARACTERS).split())
