"""The builds beside one on record: what it is compared with before its answers are published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matrix.analysis.compare import Change, comparable, differences
from matrix.analysis.ledger.explain import Verdict, explain_change
from matrix.analysis.ledger.model import Ledger
from matrix.results.published import Published
from matrix.results.record import Record, Status
from vms.kernels.kernel import Build
from vms.kernels.order import build_key

_Cell = tuple[str, str]


class Beside:
    """The answers that the builds beside a build gave to the same questions.

    Those are the nearest older and the nearest newer one of its series; without one in the series
    the nearest of all. `code` has the digest of each experiment now: what was answered before an
    experiment was rewritten does not count.
    """

    def __init__(self, build: Build, builds: Iterable[Published], code: Mapping[str, str]) -> None:
        older, newer = _sides(build, builds)
        self._series = [_answers(_of(side, build.series), code) for side in (older, newer)]
        self._others = _answers([*older, *newer], code)

    def expects(self, _kernel: Build, record: Record) -> bool:
        """Whether the cell passed with the answer of every build beside, of which there is one at
        least. Any other is asked again in a guest of its own.
        """
        cell = record.question
        beside = [answers[cell] for answers in self._series if cell in answers]
        beside = beside or [answers[cell] for answers in [self._others] if cell in answers]
        return (
            record.status is Status.PASS
            and bool(beside)
            and all(one.same_answer(record, reason=False) for one in beside)
        )

    def learn(self, kernel: Build, record: Record) -> None:
        """Does nothing: a build's answers say nothing of its other cells."""


def nearest(build: Build, builds: Iterable[Published]) -> Published | None:
    """The build before this one in its series, else the one after it, else the nearest of all."""
    older, newer = _sides(build, builds)
    for side in (_of(older, build.series), _of(newer, build.series), older, newer):
        if side:
            return side[0]
    return None


def changed(one: Published, other: Published, ledger: Ledger) -> Mapping[str, Verdict]:
    """The experiments of which the two builds answer some cell differently, as far as both were
    asked the same, with the most serious verdict on that.
    """
    before, after = sorted((one, other), key=lambda build: build_key(build.kernel))
    answers = {record.question: record for record in before.records if comparable(record)}
    found: dict[str, Verdict] = {}
    for record in filter(comparable, after.records):
        name, earlier = record.experiment, answers.get(record.question)
        if earlier is None or before.code.get(name) != after.code.get(name):
            continue
        for difference in differences(earlier, record):
            change = Change(earlier, record, difference)
            verdict = explain_change(ledger, change, before.kernel, after.kernel).verdict
            found[name] = max(found.get(name, verdict), verdict, key=lambda verdict: verdict.rank)
    return found


def _sides(build: Build, builds: Iterable[Published]) -> tuple[list[Published], list[Published]]:
    """The older builds and the newer ones, the nearest first."""
    ordered = sorted(
        (one for one in builds if one.kernel.id != build.id), key=lambda one: build_key(one.kernel)
    )
    older = [one for one in ordered if build_key(one.kernel) < build_key(build)]
    return older[::-1], ordered[len(older) :]


def _of(side: Sequence[Published], series: str) -> list[Published]:
    return [one for one in side if one.kernel.series == series]


def _answers(nearest_first: Iterable[Published], code: Mapping[str, str]) -> dict[_Cell, Record]:
    """The nearest build's answer to each question, as it is asked now."""
    found: dict[_Cell, Record] = {}
    for build in nearest_first:
        for record in build.records:
            if comparable(record) and build.code.get(record.experiment) == code.get(record.experiment):
                found.setdefault(record.question, record)
    return found
