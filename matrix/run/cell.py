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

_ANSWER_GRACE = 20.0  # seconds the agent has beyond the experiment's own to end it and to answer


@dataclass(frozen=True)
class Question:
    """What is asked of one guest; all a worker needs to know of a cell.

    `seconds` bounds the experiment.
    """

    what: str
    experiment: str
    variant: dict[str, str]
    seconds: float

    def line(self, request_id: str) -> bytes:
        """The request to the agent, with the time it is now and entropy of its own, since clones
        must share neither.
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
    """Starts a guest, asks it once and ends it."""
    request_id = secrets.token_hex(8)
    answer, lost, crashed, console, resident = None, "", None, "", 0
    begun = time.monotonic()
    try:
        template.make()
        begun = time.monotonic()
        with template.start() as guest:
            try:
                answer = guest.ask(
                    question.line(request_id), Deadline(question.seconds + _ANSWER_GRACE, question.what)
                )
            except LostGuest as error:
                lost = str(error)
            crashed, console, resident = guest.crashed, guest.console(), guest.resident
    except LostGuest as error:
        lost, console = lost or str(error), console or error.console
    return Outcome(request_id, answer, lost, crashed, console, time.monotonic() - begun, resident)
