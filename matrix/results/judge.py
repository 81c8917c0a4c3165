"""Makes a record of what a guest answered.

The guest is not trusted: all that it sends is bounded and checked here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import msgspec

from guest.catalogue import SPLATS, Experiment
from matrix.plan.plan import Cell
from matrix.results.record import (
    ALONE,
    FACT_CHARACTERS,
    FACT_ITEMS,
    LARGEST_INTEGER,
    SCHEMA,
    Asked,
    FactValue,
    Record,
    Status,
    evidence_name,
    shown_value,
)
from vms.answer import Answer
from vms.decode import Undecodable, decode
from vms.splats import Found, find_splats, merged

_EVIDENCE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_OURS = re.compile(r"record\.json|console\.log|printed\.txt|dmesg\.txt|splat-\d+\.txt")  # not an experiment's
_MOST_EVIDENCE = 64


class _Evidence(msgspec.Struct):
    text: str | None = None
    base64: bytes | None = None


class _Header(msgspec.Struct):
    printed: str = ""
    dmesg: str = ""


class _Answer(msgspec.Struct):
    schema: int
    outcome: Literal["answered", "unsupported", "timeout", "error"]
    facts: dict[str, FactValue] = {}
    reason: str = ""
    evidence: Annotated[dict[str, _Evidence], msgspec.Meta(max_length=_MOST_EVIDENCE)] = {}


@dataclass(frozen=True)
class Outcome:
    """The result of one attempt at a cell: an answer, or the reason why there is none.

    `lost` says how the guest was lost, `crashed` is the kernel's line that names the cause if it
    panicked or oopsed. `seconds` is how long it took, `resident` the bytes of memory that the guest
    uses, and `asked` tells which guest that was.
    """

    answer: Answer | None = None
    lost: str = ""
    crashed: str | None = None
    console: str = ""
    seconds: float = 0.0
    resident: int = 0
    asked: Asked = ALONE


@dataclass(frozen=True)
class Judged:
    """A record and the contents of the evidence files it names.

    `lost`: there was no answer, since the guest was lost.
    """

    record: Record
    evidence: dict[str, bytes]
    lost: bool = False


class _BadAnswerError(Exception):
    """The guest sent something that is not an answer."""


def verdict(cell: Cell, outcome: Outcome, attempts: int) -> Judged:
    """The record of one attempt: `crash` if the kernel crashed, `error` if the guest was lost, else
    the judged answer. The splats of the kernel's log are in the record, and each is a file of
    evidence.
    """
    judged = _attempt(cell, outcome, attempts)
    dmesg = judged.evidence.get("dmesg.txt", b"").decode(errors="replace")
    return _with_splats(judged, merged(find_splats(outcome.console), find_splats(dmesg)))


def _attempt(cell: Cell, outcome: Outcome, attempts: int) -> Judged:
    seconds = round(outcome.seconds, 3)
    blank = Record(
        cell.kernel.name,
        cell.experiment.name,
        dict(cell.variant),
        Status.ERROR,
        reason=outcome.lost,
        seconds=seconds,
        attempts=attempts,
        asked=outcome.asked,
    )
    if outcome.crashed is not None:
        return Judged(replace(blank, status=Status.CRASH, reason=outcome.crashed), {})
    if outcome.answer is None:
        return Judged(blank, {}, lost=True)
    judged = judge(cell, outcome.answer)
    record = replace(judged.record, seconds=seconds, attempts=attempts, asked=outcome.asked)
    return replace(judged, record=record)


def _with_splats(judged: Judged, found: tuple[Found, ...]) -> Judged:
    if not found:
        return judged
    files = {f"splat-{number}.txt": one.text.encode() for number, one in enumerate(found, 1)}
    evidence = judged.evidence | files
    record = replace(
        judged.record, splats=tuple(one.splat for one in found), evidence=tuple(sorted(evidence))
    )
    if record.facts and record.compared_splats:
        record = replace(record, facts=record.facts | {SPLATS: record.compared_splats})
    return replace(judged, record=record, evidence=evidence)


def confirmed(judged: Judged, crashed: Judged | None) -> Judged:
    """The record of a cell whose first attempt may have crashed.

    A cell that crashes twice is a `crash`. One that crashes only once is `unstable`: a race in the
    kernel or a mistake of the emulator may be the cause.
    """
    if crashed is None or judged.record.status in (Status.CRASH, Status.ERROR):
        return judged
    reason = f"{judged.record.status} at the second attempt; the first one crashed: {crashed.record.reason}"
    return replace(judged, record=replace(judged.record, status=Status.UNSTABLE, reason=reason))


def judge(cell: Cell, answer: Answer) -> Judged:
    """The record of one answer.

    An answer that is malformed, or whose facts are not the declared ones, is an `error`, not a
    `fail`: the kernel is not responsible for it.
    """
    blank = Record(cell.kernel.name, cell.experiment.name, dict(cell.variant), Status.ERROR)
    try:
        header, decoded = _decode(answer)
        evidence = _evidence(header, decoded)
        blank = replace(blank, reason=decoded.reason, evidence=tuple(sorted(evidence)))
        if decoded.outcome != "answered":
            return Judged(replace(blank, status=Status(decoded.outcome)), evidence)
        facts = _checked_facts(decoded.facts, cell.experiment)
    except _BadAnswerError as error:
        return Judged(replace(blank, reason=f"the guest's answer cannot be used: {error}", evidence=()), {})
    blank = replace(blank, facts=facts)
    broken = []
    for invariant in cell.experiment.invariants:
        try:
            if not invariant.holds(facts, cell.variant):
                broken.append(invariant.text)
        except Exception as error:  # a bug of the experiment is no failure of the kernel
            return Judged(
                replace(
                    blank, reason=f"the invariant {invariant.text!r} raised {type(error).__name__}: {error}"
                ),
                evidence,
            )
    if broken:
        return Judged(
            replace(blank, status=Status.FAIL, reason="does not hold: " + "; ".join(broken)), evidence
        )
    return Judged(replace(blank, status=Status.PASS), evidence)


def _decode(answer: Answer) -> tuple[_Header, _Answer]:
    try:
        header = decode(answer.header, _Header)
        decoded = decode(answer.whole, _Answer)
    except Undecodable as error:
        raise _BadAnswerError(f"{error}") from error
    if decoded.schema != SCHEMA:
        raise _BadAnswerError(f"its schema is {decoded.schema}, expected {SCHEMA}")
    return header, decoded


def _evidence(header: _Header, answer: _Answer) -> dict[str, bytes]:
    files = {}
    for name, item in answer.evidence.items():
        file = evidence_name(name)
        if not _EVIDENCE_NAME.fullmatch(name) or _OURS.fullmatch(file) or file in files:
            raise _BadAnswerError(f"evidence cannot be called {name[:64]!r}")
        files[file] = item.base64 if item.base64 is not None else (item.text or "").encode()
    for name, text in (("dmesg.txt", header.dmesg), ("printed.txt", header.printed)):
        if text:
            files[name] = text.encode()
    return files


def _checked_facts(facts: dict[str, FactValue], experiment: Experiment) -> dict[str, FactValue]:
    """The facts in the order of their declaration."""
    declared = {fact.name: fact.type for fact in experiment.facts}
    if missing := declared.keys() - facts.keys():
        raise _BadAnswerError(f"it lacks the declared facts {', '.join(sorted(missing))}")
    for name, value in facts.items():
        if name not in declared:
            raise _BadAnswerError(f"the fact {name[:64]!r} is not declared")
        # `type(...) is`, since True is an int and a flag is not a count.
        if type(value) is not declared[name]:
            raise _BadAnswerError(
                f"the fact {name!r} is declared as {declared[name].__name__}, not {type(value).__name__}"
            )
        if _too_large(value):
            raise _BadAnswerError(f"the fact {name!r} is too large to be a fact")
    # Cleaned before invariants see them, so that they hold for what the record says.
    return {name: shown_value(facts[name], FACT_CHARACTERS, FACT_ITEMS) for name in declared}


def _too_large(value: FactValue) -> bool:
    if isinstance(value, int):
        return abs(value) >= LARGEST_INTEGER
    if isinstance(value, str):
        return len(value) > FACT_CHARACTERS
    if isinstance(value, dict):
        return len(value) > FACT_ITEMS or any(
            _too_large(key) or _too_large(item) for key, item in value.items()
        )
    return len(value) > FACT_ITEMS or any(_too_large(item) for item in value)
