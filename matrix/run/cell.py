"""Runs one cell in a guest: all that happens beside the guest, on this machine or on a Dask worker.

Nothing is decided here: `matrix.results.judge` makes a record of the outcome where the run is.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

import msgspec

from matrix.results.judge import Outcome
from matrix.run.guests import Template
from vms.deadline import Deadline
from vms.errors import LostGuest

_ANSWER_GRACE = 20.0  # seconds beyond the experiment's limit in which the agent ends it and answers


@dataclass(frozen=True)
class Question:
    """The request to one guest: all that a worker needs to know of a cell.

    `what` names the cell in error messages. `seconds` bounds the experiment.
    """

    what: str
    experiment: str
    variant: dict[str, str]
    seconds: float

    def line(self, request_id: str) -> bytes:
        """The request to the agent as one line of JSON.

        It carries the time and fresh entropy, since clones of one template must share neither.
        """
        fields = {
            "id": request_id,
            "do": "run",
            "experiment": self.experiment,
            "variant": self.variant,
            "seconds": self.seconds,
            "time": time.time(),
            "entropy": secrets.token_hex(32),
        }
        return msgspec.json.encode(fields)


def ask(template: Template, question: Question) -> Outcome:
    """Starts a guest, sends it one request and ends it.

    A guest that is lost is an `Outcome`, not an exception.
    """
    request_id = secrets.token_hex(8)
    answer, lost, crashed, console, resident = None, "", None, "", 0
    started = time.monotonic()
    try:
        template.make()
        started = time.monotonic()
        with template.start() as guest:
            try:
                answer = guest.ask(
                    question.line(request_id),
                    Deadline(question.seconds + _ANSWER_GRACE, question.what),
                    Deadline(question.seconds, f"{question.what} to end"),
                )
            except LostGuest as error:
                lost = str(error)
            crashed, console, resident = guest.crashed, guest.console(), guest.resident
    except LostGuest as error:
        lost, console = lost or str(error), console or error.console
    return Outcome(answer, lost, crashed, console, time.monotonic() - started, resident)
