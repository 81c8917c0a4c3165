"""What the known answers hold that the baseline does not: the changes and failures that somebody
has to look at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from matrix.analysis.compare import Change, Difference, Kind, comparable, differences
from matrix.analysis.ledger.explain import Verdict, explain_change
from matrix.analysis.ledger.model import Ledger
from matrix.baseline.baseline import Baseline
from matrix.plan.plan import variant_name
from matrix.results.latest import Key, LatestAnswers
from matrix.results.manifest import KernelEntry
from matrix.results.record import Record
from vms.kernels.order import build_key


@dataclass(frozen=True)
class News:
    """A fact that is not what it was.

    Between two kernels: `later` is not in the baseline (or the experiment is not) and differs from
    its left neighbour `earlier`. Within one (`earlier` is `later`): the build itself answers
    differently than was accepted, which no commit explains.
    """

    earlier: KernelEntry
    later: KernelEntry
    before: Record
    after: Record
    difference: Difference

    @property
    def key(self) -> tuple[Key, str]:
        """Names the cell and the fact."""
        return (self.later.id, self.after.experiment, variant_name(self.after.variant)), self.difference.fact

    @property
    def moved(self) -> bool:
        """Whether one and the same build answers differently than was accepted."""
        return self.earlier.id == self.later.id


@dataclass(frozen=True)
class Failure:
    """A cell that ended in a way no kernel should, which nobody accepted."""

    kernel: KernelEntry
    record: Record

    @property
    def key(self) -> Key:
        """Names the cell."""
        return self.kernel.id, self.record.experiment, variant_name(self.record.variant)


@dataclass(frozen=True)
class Standing:
    """Everything that waits to be looked at."""

    news: tuple[News, ...]
    failures: tuple[Failure, ...]


def explanation(ledger: Ledger, news: News) -> tuple[Verdict, str]:
    """What the ledger makes of the news, and its sentences with their links where it has any.

    No commit explains that one build answers differently than it did.
    """
    if news.moved:
        return Verdict.UNEXPLAINED, "the same build answers differently than was accepted"
    found = explain_change(ledger, Change(news.before, news.after, news.difference), news.earlier, news.later)
    sentences = " ".join(f"{commit.sentence} ({commit.link or commit.title})" for commit in found.commits)
    match found.verdict:
        case Verdict.EXPLAINED:
            return found.verdict, sentences
        case Verdict.CONTRADICTED:
            return found.verdict, f"which is not what the ledger expects: {sentences}"
        case Verdict.UNEXPLAINED:
            return found.verdict, f"left over: {', '.join(found.missing)}" if sentences else ""


def standing(baseline: Baseline, known: LatestAnswers) -> Standing:
    """Compares what is known, which includes the baseline, with what is accepted.

    A new build is compared with its left neighbour of the same flavour among all builds known, so
    what an accepted predecessor did already is not reported again.
    """
    rows: dict[tuple[str, str, str], list[KernelEntry]] = defaultdict(list)
    for key, experiment, variant in known.answers:
        entry = known.kernels[key]
        rows[experiment, variant, entry.flavour].append(entry)
    news: list[News] = []
    failures: list[Failure] = []
    for (experiment, variant, _), kernels in sorted(rows.items()):
        left: _Seen | None = None
        for kernel in sorted(kernels, key=build_key):
            now = known.answers[kernel.id, experiment, variant].record
            answer = baseline.known.answers.get((kernel.id, experiment, variant))
            accepted = answer.record if answer and _same_question(answer.record, now) else None
            earlier = _Seen(kernel, accepted) if accepted else left
            if earlier:
                news += _news(earlier, kernel, now)
            expected = (
                earlier is not None
                and earlier.expected
                and comparable(earlier.record)
                and earlier.record.same_answer(now, reason=False)
            )
            if now.status.is_unexpected and not expected:
                failures.append(Failure(kernel, now))
            if comparable(now):
                left = _Seen(kernel, now, expected)
    return Standing(tuple(news), tuple(failures))


@dataclass(frozen=True)
class _Seen:
    """A kernel's answer to compare with.

    `expected`: if it is a failure, it was accepted, here or in those it goes on from.
    """

    kernel: KernelEntry
    record: Record
    expected: bool = True


def _news(earlier: _Seen, kernel: KernelEntry, now: Record) -> Iterator[News]:
    for difference in differences(earlier.record, now):
        # Two answers of which only one has the fact were given to different questions: the
        # experiment was rewritten in between.
        rewritten = (
            earlier.record.facts and now.facts and difference.kind in (Kind.APPEARED, Kind.DISAPPEARED)
        )
        if not rewritten:
            yield News(earlier.kernel, kernel, earlier.record, now, difference)


def _same_question(one: Record, other: Record) -> bool:
    return not one.facts or not other.facts or one.facts.keys() == other.facts.keys()
