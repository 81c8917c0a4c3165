"""Finds between which builds a fact changes: asks what is not on record, and says what it rests
on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from matrix.analysis.fact_value import frozen
from matrix.analysis.ledger.contains import held_by_one
from matrix.analysis.ledger.explain import explain
from matrix.analysis.ledger.model import Ledger
from matrix.bisect.candidates import candidates
from matrix.bisect.outcome import Answered, Bisection, Interval
from matrix.bisect.search import Pair, Side, next_builds, pairs, steps_left
from matrix.bisect.target import Target
from matrix.results.record import Record, Status
from vms.errors import HostError, MatrixError, UsageError
from vms.kernels.kernel import Build

Ask = Callable[[Sequence[Build]], Mapping[str, tuple[Record, str]]]
"""Asks builds: for the id of each its record, and the run that has it."""
Titles = Callable[[Build, Build], Sequence[str]]
"""The titles in the changelog of the second build that are newer than the first. Raises
MatrixError.
"""


@dataclass(frozen=True)
class Request:
    """What to look for. `builds` are all of the range, in the order of kernels, `recorded` the
    answers that earlier runs have, with the runs, by the build's id.
    """

    target: Target
    builds: Sequence[Build]
    recorded: Mapping[str, tuple[Record, str]]
    ledger: Ledger
    at_once: int
    find_fix: bool = False


@dataclass
class _State:
    request: Request
    note: Callable[[str], None]
    answers: dict[int, Answered] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0

    @property
    def count(self) -> int:
        return len(self.request.builds)

    def take(self, place: int, record: Record, run: str, *, recorded: bool) -> None:
        """Keeps an answer."""
        self.answers[place] = Answered(
            self.request.builds[place],
            None,
            record.status,
            self.request.target.value(record),
            record.reason,
            run,
            recorded,
        )

    def known(self) -> dict[int, Side]:
        """The verdicts: an answer is the first build's, the last build's, or neither."""
        ends = [self.answers.get(place) for place in (0, self.count - 1)]
        old, new = [frozen(end.value) if end else None for end in ends]
        verdicts = {}
        for place, answer in self.answers.items():
            value = frozen(answer.value)
            unknown = answer.value is None or value not in (old, new)
            verdicts[place] = Side.UNKNOWN if unknown else Side.OLD if value == old else Side.NEW
        return verdicts


def bisect(request: Request, ask: Ask, titles: Titles, note: Callable[[str], None]) -> Bisection:
    """The pairs of builds between which the fact changes.

    Raises UsageError if both ends have the same value, or one has none because its kernel does not
    support the question; HostError if the tool could not ask one.
    """
    state = _State(request, note)
    for place, build in enumerate(request.builds):
        if build.id in request.recorded:
            state.take(place, *request.recorded[build.id], recorded=True)
    if state.answers:
        note(f"on record, and taken: the answers of {len(state.answers)} of {state.count} builds")
    _ask(state, ask, [place for place in (0, state.count - 1) if place not in state.answers])
    _check_ends(state)
    while chosen := next_builds(state.count, state.known(), request.at_once):
        _ask(state, ask, chosen)
    return _result(state, titles)


def _ask(state: _State, ask: Ask, chosen: Sequence[int]) -> None:
    if not chosen:
        return
    builds = [state.request.builds[place] for place in chosen]
    names = ", ".join(build.name for build in builds)
    state.note(f"step {state.steps + 1}: asking {names}{_left(state)}")
    began = time.monotonic()
    found = ask(builds)
    state.seconds += time.monotonic() - began
    state.steps += 1
    for place, build in zip(chosen, builds, strict=True):
        state.take(place, *found[build.id], recorded=False)


def _left(state: _State) -> str:
    """How many steps follow, and how long they take if they take as long as those before."""
    if not {0, state.count - 1} <= state.answers.keys():
        return ", the ends of the range"
    after = steps_left(state.count, state.known(), state.request.at_once) - 1
    if not state.steps:
        return f"; about {after} more after it"
    seconds = round((after + 1) * state.seconds / state.steps)
    return f"; about {after} more after it, {seconds} s for all"


def _check_ends(state: _State) -> None:
    ends = state.answers[0], state.answers[state.count - 1]
    for end in ends:
        if end.value is None:
            why = end.reason.strip().partition("\n")[0] or "without a reason"
            message = f"{end.build.name}, an end of the range, is {end.status} and has no fact"
            message += f" {state.request.target.fact.name!r}: {why}"
            raise (HostError if end.status is Status.ERROR else UsageError)(message)
    if frozen(ends[0].value) == frozen(ends[1].value):
        others = {
            frozen(answer.value): answer
            for answer in state.answers.values()
            if answer.value is not None and frozen(answer.value) != frozen(ends[0].value)
        }
        known = "; ".join(f"{one.build.name} has {one.value!r}" for one in others.values())
        raise UsageError(
            f"{state.request.target.label} is {ends[0].value!r} on both {ends[0].build.name} and"
            f" {ends[1].build.name}; give two builds that differ"
            + (f" (by answers on record, {known})" if known else "")
        )


def _result(state: _State, titles: Titles) -> Bisection:
    request, known = state.request, state.known()
    target = request.target
    builds = [
        replace(state.answers.get(place, Answered(build)), verdict=known.get(place))
        for place, build in enumerate(request.builds)
    ]
    intervals = [_interval(request, builds, pair, titles) for pair in pairs(known)]
    old, new = builds[0].value, builds[-1].value
    assert old is not None
    assert new is not None
    return Bisection(
        target.experiment.name,
        dict(target.variant),
        target.fact.name,
        target.experiment.question,
        target.fact.meaning,
        old,
        new,
        tuple(builds),
        tuple(intervals),
        0 if request.find_fix else len(intervals) - 1,
        request.find_fix,
        state.steps,
        round(state.seconds, 1),
    )


def _interval(request: Request, builds: Sequence[Answered], pair: Pair, titles: Titles) -> Interval:
    left, right = builds[pair.left], builds[pair.right]
    target, ledger = request.target, request.ledger
    found = explain(
        ledger,
        target.experiment.name,
        target.variant,
        target.fact.name,
        left.build,
        left.value,
        right.build,
        right.value,
    )
    gained, lost = held_by_one(ledger, left.build, right.build)
    listed: Sequence[str] = ()
    why = ""
    try:
        listed = titles(left.build, right.build)
    except MatrixError as error:
        why = str(error)
    return Interval(
        left,
        right,
        tuple(builds[place] for place in pair.unknown),
        found.verdict,
        found.commits,
        tuple(commit for commit in gained if commit not in found.commits),
        tuple(commit for commit in lost if commit not in found.commits),
        candidates(target, listed),
        len(listed),
        why,
    )
