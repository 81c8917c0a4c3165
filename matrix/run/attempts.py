"""Decides when an attempt at a cell counts, and when the cell is asked again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from matrix.results.judge import Judged, confirmed
from matrix.results.record import Leak, Record, Status

ATTEMPTS = 3
"""How often a cell is run, and a kernel booted, before a lost guest makes it an `error`."""


def counted(tries: Sequence[Judged], expected: Callable[[Record], bool]) -> Judged | None:
    """What counts after these attempts at one cell, the newest last; None if the cell is to be
    asked again, in a guest of its own.

    An answer from a guest that was asked other cells before counts only if it is `expected`. Else
    that of a guest of its own counts. If the two differ, the cell is asked once more: guests of its
    own that agree show that the other answer was a `Leak`, guests that do not make it `unstable`. A
    kernel that crashes does so twice, or the cell is `unstable`.
    """
    last = tries[-1]
    if last.record.status is Status.ERROR:
        errors = sum(one.record.status is Status.ERROR for one in tries)
        return last if errors >= ATTEMPTS else None
    if not last.record.asked.alone:
        return last if expected(last.record) else None
    own = [one for one in tries if one.record.asked.alone and one.record.status is not Status.ERROR]
    crashed = next((one for one in own if one.record.status is Status.CRASH), None)
    if crashed is not None:
        return confirmed(last, crashed) if len(own) > 1 else None
    return _compared(own, [one for one in tries if not one.record.asked.alone and not one.lost])


def _compared(own: Sequence[Judged], shared: Sequence[Judged]) -> Judged | None:
    """What counts of the answers of guests of the cell's own, and of those that were shared."""
    last = own[-1]
    differing = next((one for one in shared if not _same(one, last)), None)
    if differing is None:
        return last
    if differing.record.status is Status.CRASH:
        return confirmed(last, differing)
    if len(own) < 2:
        return None
    if not _same(*own[-2:]):
        reason = f"guests of its own disagree: one answered {answer_text(own[-2].record)}"
        return replace(last, record=replace(last.record, status=Status.UNSTABLE, reason=reason))
    leak = Leak(differing.record.asked.after, answer_text(differing.record))
    return replace(last, record=replace(last.record, leak=leak))


def _same(one: Judged, other: Judged) -> bool:
    return one.record.same_answer(other.record, reason=False)


def answer_text(record: Record) -> str:
    """Status and facts, or the reason if there are none, as one line."""
    said = msgspec.json.encode(record.facts).decode() if record.facts else record.reason
    return f"{record.status}: {said}"[:_MOST_TEXT]


_MOST_TEXT = 1000
