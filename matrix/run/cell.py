"""Runs one cell in a guest: all that happens beside the guest, on this machine or on a Dask worker.

Nothing is decided here: `matrix.results.judge` makes a record of the outcome where the run is.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import msgspec

from guest.catalogue import Source
from matrix.plan.plan import Cell, cell_label, variant_name
from matrix.results.judge import Outcome
from matrix.results.record import Asked
from matrix.run.guests import Guest, Template
from matrix.run.idle import idle
from vms.deadline import Deadline
from vms.errors import LostGuest

_ANSWER_GRACE = 20.0  # seconds beyond the experiment's limit in which the agent ends it and answers
_SETTLE_SECONDS = 30.0
_MOST_LEFT = 100
_MOST_LINE = 400
_MOST_CONSOLE = 1 << 18  # characters; QEMU stores no more than 8 MiB of a guest's console


@dataclass(frozen=True)
class Question:
    """The request to one guest: all that a worker needs to know of a cell.

    `what` names the cell in messages. `seconds` bounds the experiment. `own` asks for a guest that
    answers nothing else. With a `source` the guest runs the experiment of that text, not its own;
    then `modules` are the kernel modules that it needs.
    """

    what: str
    experiment: str
    variant: dict[str, str]
    seconds: float
    own: bool = True
    source: Source | None = None
    modules: tuple[str, ...] = ()

    @classmethod
    def of(cls, cell: Cell, *, own: bool, source: Source | None = None) -> Question:
        """The request for a cell. Its guest answers nothing else if `own`, or if the experiment
        must be alone.
        """
        experiment = cell.experiment
        name = f"{cell_label(experiment.name, variant_name(cell.variant))} on {cell.kernel.name}"
        return cls(
            name,
            experiment.name,
            dict(cell.variant),
            experiment.seconds,
            own or bool(experiment.alone),
            source,
            experiment.modules,
        )

    def line(self, request_id: str) -> bytes:
        """The request to the agent as one line of JSON.

        It carries the time and fresh entropy, since clones of one template must share neither.
        """
        fields: dict[str, Any] = {
            "id": request_id,
            "do": "run",
            "experiment": self.experiment,
            "variant": self.variant,
            "seconds": self.seconds,
            "time": time.time(),
            "entropy": secrets.token_hex(32),
        }
        if self.source:
            fields |= {"source": asdict(self.source), "modules": self.modules}
        return msgspec.json.encode(fields)


@dataclass
class _Held:
    """A running guest, and what it was asked so far.

    `cells` counts the cells that it answered, `last` names the last of them, `printed` is the
    length of what its console had printed by then.
    """

    guest: Guest
    end: Callable[[], None]
    name: str = field(default_factory=lambda: secrets.token_hex(4))
    cells: int = 0
    last: str = ""
    printed: int = 0


def ask(template: Template, question: Question) -> Outcome:
    """Sends one request to a guest: to one that waits for another cell, or to a new one.

    The guest waits for a further cell if it is as its template was, else it is ended. A guest that
    is lost is an `Outcome`, not an exception.
    """
    began = time.monotonic()
    try:
        held: _Held | None = None if question.own else idle.take(template)
        if held is None:
            template.make()
            began = time.monotonic()
            stack = ExitStack()
            held = _Held(stack.enter_context(template.start()), stack.close)
    except LostGuest as error:
        return Outcome(lost=str(error), console=error.console, seconds=time.monotonic() - began)
    try:
        outcome, usable = _asked(held, question)
    except BaseException:
        held.end()
        raise
    held.cells += 1
    held.last = question.what
    held.printed += len(outcome.console)
    if usable and held.printed <= _MOST_CONSOLE:
        idle.put(template, held)
    else:
        held.end()
    return replace(outcome, seconds=time.monotonic() - began)


def _asked(held: _Held, question: Question) -> tuple[Outcome, bool]:
    """How the question ended, and whether the guest may be asked another."""
    guest, answer, lost = held.guest, None, ""
    request_id = secrets.token_hex(8)
    try:
        answer = guest.ask(
            question.line(request_id),
            Deadline(question.seconds + _ANSWER_GRACE, question.what),
            Deadline(question.seconds, f"{question.what} to end"),
        )
    except LostGuest as error:
        lost = str(error)
    asked = Asked(held.name, held.cells + 1, held.last)
    outcome = Outcome(answer, lost, guest.crashed, "", 0.0, guest.resident, asked)
    usable = not question.own and _usable(outcome)
    if usable:
        left = _left(guest, question)
        # What the kernel prints while it cleans up is this cell's doing.
        outcome = replace(outcome, asked=replace(asked, left=left), crashed=guest.crashed)
        usable = not left and outcome.crashed is None
    return replace(outcome, console=guest.console()[held.printed :]), usable


def _usable(outcome: Outcome) -> bool:
    """Whether the guest may be asked more: neither it nor the experiment failed."""
    if outcome.answer is None or outcome.crashed is not None:
        return False
    try:
        said = msgspec.json.decode(outcome.answer.whole, type=_Said).outcome
    except (msgspec.DecodeError, RecursionError):
        return False
    return said in ("answered", "unsupported")


class _Said(msgspec.Struct):
    outcome: str = ""


def _left(guest: Guest, question: Question) -> tuple[str, ...]:
    """What a cell left behind in the guest, as its agent tells after it has cleaned up."""
    request = msgspec.json.encode({"id": secrets.token_hex(8), "do": "settle"})
    try:
        answer = guest.ask(request, Deadline(_SETTLE_SECONDS, f"{question.what} to be cleaned up after"))
        left = msgspec.json.decode(answer.whole, type=_Settled).left
    except (LostGuest, msgspec.DecodeError, RecursionError) as error:
        return (f"the guest, which did not say what is left: {error}"[:_MOST_LINE],)
    return tuple(line[:_MOST_LINE] for line in left)


class _Settled(msgspec.Struct):
    left: Annotated[list[str], msgspec.Meta(max_length=_MOST_LEFT)]
