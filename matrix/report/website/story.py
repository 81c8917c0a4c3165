"""The upgrade story of any two builds, as data from which `story.js` puts it together.

All that takes judgement is worked out here, by the modules behind `./invoke upgrade`: how two
answers differ, in words; what that touches; which commits explain it between which builds. What is
left to the script is to look up both answers of each cell, to group what differs, and to count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from guest.catalogue import Experiment
from matrix.analysis.compare import Change, Difference, comparable, differences
from matrix.analysis.fact_value import frozen_facts
from matrix.analysis.impact import Impact, impact_of
from matrix.analysis.ledger.contains import contains, known_to_hold
from matrix.analysis.ledger.model import Commit, Ledger
from matrix.analysis.upgrade import Severity, asked_now, severity_of
from matrix.analysis.wording.tell import tell_apart
from matrix.report.text.upgrade_headings import IMPACTS, SEVERITIES
from matrix.report.text.upgrade_sections import answers_in_words, build_title, named, since, what_differs
from matrix.report.website.contents import Contents
from matrix.report.website.pool import Pool, lengths
from matrix.report.website.slug import slug
from matrix.results.manifest import KernelEntry
from matrix.results.record import Record
from vms.program import COMMAND
from vms.text import shown

_NOT_ASKED = -1
_NOT_COMPARED = -2  # asked, but its repeats disagreed

_HELD = {True: "1", False: "0", None: "?"}


def story(contents: Contents) -> dict[str, Any]:
    """The data. What several lines share stands in a list, to which they refer by place."""
    made = _Story([build.entry for build in contents.builds], contents.ledger, contents.catalogue)
    lines: dict[tuple[str, str], list[Record | None]] = defaultdict(lambda: [None] * len(contents.builds))
    for column, build in enumerate(contents.builds):
        for key, (record, _) in asked_now(contents.answers.of(build.entry), contents.catalogue).items():
            lines[key][column] = record
    told = [made.line(line) for line in asked_now(lines, contents.catalogue).values()]
    return {
        "command": COMMAND,
        "builds": [
            {"name": build.entry.name, "title": build_title(build.entry), "series": build.entry.series}
            | {"slug": build.slug}
            for build in contents.builds
        ],
        "severities": list(Severity),
        "sections": _sections(),
        "commits": made.commits.entries,
        "phrases": made.phrases.entries,
        "outcomes": made.outcomes.entries,
        "questions": made.questions.entries,
        "variants": made.variants.entries,
        "heads": made.heads.entries,
        "sights": made.sights.entries,
        "classes": made.classes.entries,
        "answers": made.answers.entries,
        "lines": told,
    }


def _sections() -> list[dict[str, Any]]:
    """The headings of a story in their order: what stands below each by severity and impact."""
    severities, impacts = list(Severity), list(Impact)
    found = []
    for place, severity in enumerate(severities):
        if severity is Severity.CHANGED:
            words = [(heading, advice, impacts.index(of)) for of, (heading, advice) in IMPACTS.items()]
        else:
            words = [(*SEVERITIES[severity], -1)]
        found += [
            {"heading": heading, "advice": advice, "severity": place, "impact": impact}
            for heading, advice, impact in words
        ]
    return found


@dataclass
class _Story:
    """The lists that the data consists of, while it is made."""

    builds: Sequence[KernelEntry]
    ledger: Ledger
    catalogue: Mapping[str, Experiment]
    commits: Pool[dict[str, Any]] = field(default_factory=Pool)
    phrases: Pool[str] = field(default_factory=Pool)
    outcomes: Pool[list[Any]] = field(default_factory=Pool)
    questions: Pool[list[str]] = field(default_factory=Pool)
    variants: Pool[dict[str, str]] = field(default_factory=Pool)
    heads: Pool[str] = field(default_factory=Pool)
    sights: Pool[list[Any]] = field(default_factory=Pool)
    classes: Pool[list[int]] = field(default_factory=Pool)
    answers: Pool[dict[str, Any]] = field(default_factory=Pool)
    _groups: dict[Hashable, int] = field(default_factory=dict)
    _held: dict[tuple[str, str], tuple[bool | None, bool | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Adds all commits, since a story also tells those that no cell shows."""
        for commit in self.ledger.commits.values():
            self._commit(commit)

    def line(self, records: Sequence[Record | None]) -> list[int]:
        """One cell on all builds: its experiment, its variant, and the answers."""
        first = next(record for record in records if record)
        experiment = self.catalogue.get(first.experiment)
        question = self.questions.place(
            first.experiment,
            lambda: [
                first.experiment,
                shown(experiment.question) if experiment else "",
                slug(first.experiment),
            ],
        )
        variant = self.variants.place(tuple(first.variant.items()), lambda: dict(first.variant))
        seen: dict[Hashable, int] = {}
        samples: list[Record] = []
        numbers = []
        for record in records:
            if record is None or not comparable(record):
                numbers.append(_NOT_ASKED if record is None else _NOT_COMPARED)
                continue
            key = (record.status, frozen_facts(record.facts), tuple(record.compared_splats), record.reason)
            if key not in seen:
                seen[key] = len(samples)
                samples.append(record)
            numbers.append(seen[key])
        content = {"runs": lengths(numbers), "pairs": self._pairs(question, numbers, samples)}
        return [question, variant, self.answers.place(repr(content), lambda: content)]

    def _pairs(self, question: int, numbers: Sequence[int], samples: Sequence[Record]) -> dict[str, Any]:
        """What differs between each two of the line's answers, each with both answers in words."""
        return {
            f"{before} {after}": found
            for before, one in enumerate(samples)
            for after, other in enumerate(samples)
            if (
                found := [
                    [
                        self._sight(question, difference, one, other),
                        self._outcome(Change(one, other, difference), numbers, before, after),
                        self._phrase(answers_in_words(tell_apart([(one, other)]))),
                    ]
                    for difference in differences(one, other)
                ]
            )
        }

    def _sight(self, question: int, difference: Difference, before: Record, after: Record) -> int:
        """What is seen of a difference: its question, its impact, in words, and a number that equal
        differences share though the kernels gave other reasons.
        """
        experiment = self.catalogue.get(after.experiment)
        meanings = {fact.name: fact.meaning for fact in experiment.facts} if experiment else {}
        meaning = meanings.get(difference.fact, "")
        reason = after.reason or before.reason
        group = self._groups.setdefault((after.experiment, difference.key), len(self._groups))

        def entry() -> list[Any]:
            was, now = difference.before, difference.after
            impact = impact_of(difference.fact, meaning, was, now)
            words = what_differs(difference.fact, meaning, was, now, reason=reason)
            head = named(difference.fact, meaning) if difference.fact else ""
            place = self.heads.place(head, lambda: head)
            return [question, list(Impact).index(impact), place, words.removeprefix(head), group]

        return self.sights.place((group, "" if difference.fact else reason), entry)

    def _outcome(self, change: Change, numbers: Sequence[int], before: int, after: int) -> Any:
        """The place of how an upgrade is affected; where that depends on the builds, a table over
        classes of builds that hold the same of the commits in question.
        """
        about = [
            commit
            for entry in self.ledger.changes
            for commit in entry.commits
            if entry.is_about(change.before.experiment, change.before.variant)
            and entry.fact == change.difference.fact
        ]
        held = [tuple(self._contains(build, commit) for commit in about) for build in self.builds]
        kinds = {kind: number for number, kind in enumerate(dict.fromkeys(held))}
        found: dict[tuple[int, int], int] = {}
        for left in (column for column, number in enumerate(numbers) if number == before):
            for right in (column for column, number in enumerate(numbers) if number == after):
                key = (kinds[held[left]], kinds[held[right]])
                if key not in found:
                    found[key] = self._judged(change, self.builds[left], self.builds[right])
        if len(set(found.values())) == 1:
            return next(iter(found.values()))
        classes = [kinds[kind] for kind in held]
        table = [found.get((left, right), -1) for left in range(len(kinds)) for right in range(len(kinds))]
        return [self.classes.place(tuple(classes), lambda: lengths(classes)), len(kinds), *table]

    def _judged(self, change: Change, left: KernelEntry, right: KernelEntry) -> int:
        severity, commits, against = severity_of(self.ledger, change, left, right)
        places = [[self._commit(commit) for commit in some] for some in (commits, against)]
        return self.outcomes.place(
            (severity, commits, against), lambda: [list(Severity).index(severity), *places]
        )

    def _contains(self, build: KernelEntry, commit: Commit) -> tuple[bool | None, bool | None]:
        """Whether the build holds the commit: as cells say, and as far as is known without them."""
        key = (build.id, commit.key)
        if key not in self._held:
            self._held[key] = (
                contains(build, commit, self.ledger.read),
                known_to_hold(build, commit, self.ledger),
            )
        return self._held[key]

    def _commit(self, commit: Commit) -> int:
        def entry() -> dict[str, Any]:
            held = [known_to_hold(build, commit, self.ledger) for build in self.builds]
            places = [self._phrase(since(commit, build)) for build in self.builds]
            return {
                "sentence": commit.sentence,
                "title": shown(commit.title),
                "link": commit.link,
                "slug": slug(commit.key),
                "held": "".join(_HELD[one] for one in held),
                "since": lengths(places),
            }

        return self.commits.place(commit.key, entry)

    def _phrase(self, phrase: str) -> int:
        return self.phrases.place(phrase, lambda: phrase)
