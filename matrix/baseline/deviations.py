"""Changes and failures in the newest answers that the baseline does not hold: the user has to look
at these.
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
    """A fact that changed.

    Between two kernels: `later` has no accepted answer and differs from its left neighbour
    `earlier`. Within one (`earlier` is `later`): the build's answer differs from its accepted one,
    which no commit explains.
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
        """Whether the build's answer differs from its own accepted one."""
        return self.earlier.id == self.later.id


@dataclass(frozen=True)
class Failure:
    """A failed or unstable cell that is not accepted."""

    kernel: KernelEntry
    record: Record

    @property
    def key(self) -> Key:
        """Names the cell."""
        return self.kernel.id, self.record.experiment, variant_name(self.record.variant)


@dataclass(frozen=True)
class Standing:
    """All changes and failures that are not accepted yet."""

    news: tuple[News, ...]
    failures: tuple[Failure, ...]


def explanation(ledger: Ledger, news: News) -> tuple[Verdict, str]:
    """The ledger's verdict on a change, and the sentences that explain it.

    No commit explains a difference between two answers of the same build.
    """
    if news.moved:
        return Verdict.UNEXPLAINED, "this build answered differently when its answer was accepted"
    found = explain_change(ledger, Change(news.before, news.after, news.difference), news.earlier, news.later)
    sentences = " ".join(f"{commit.sentence} ({commit.link or commit.title})" for commit in found.commits)
    match found.verdict:
        case Verdict.EXPLAINED:
            return found.verdict, sentences
        case Verdict.CONTRADICTED:
            return found.verdict, f"but not as the ledger predicts: {sentences}"
        case Verdict.UNEXPLAINED:
            return found.verdict, f"not explained: {', '.join(found.missing)}" if sentences else ""


def standing(baseline: Baseline, known: LatestAnswers) -> Standing:
    """Compares the newest answers, the baseline's among them, with the accepted ones.

    A new build is compared with its left neighbour of the same flavour, so what an accepted
    predecessor did already is not reported again.
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

    `expected`: a failure in it is accepted, for this kernel or for those to its left.
    """

    kernel: KernelEntry
    record: Record
    expected: bool = True


def _news(earlier: _Seen, kernel: KernelEntry, now: Record) -> Iterator[News]:
    for difference in differences(earlier.record, now):
        # If only one answer has the fact, the experiment was rewritten in between.
        rewritten = (
            earlier.record.facts and now.facts and difference.kind in (Kind.APPEARED, Kind.DISAPPEARED)
        )
        if not rewritten:
            yield News(earlier.kernel, kernel, earlier.record, now, difference)


def _same_question(one: Record, other: Record) -> bool:
    return not one.facts or not other.facts or one.declared.keys() == other.declared.keys()
