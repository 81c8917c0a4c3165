"""The lab of one cell: its own namespace, what there is once per cell, and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from guest.lab.journal import Evidence, Journal
from guest.lab.namespace import Namespace
from guest.lab.netns import Netns
from guest.root import Asking

_POLL_SECONDS = 0.01
_MOST_LISTED = 2000


class Lab(Namespace):
    """The fresh network namespace in which a cell runs, and what there is once per cell.

    `root` asks the guest's root for what belongs to the whole machine. Every method of `Namespace`
    applies to the cell's own namespace; `new_namespace()` makes more of them.
    """

    def __init__(self, netns: Netns, root: Asking, variant: Mapping[str, str]) -> None:
        super().__init__(netns, Journal(), variant)
        self.root = root

    def until(self, what: str, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until a condition holds, and tells whether it came to hold within the time.

        `what` says what is waited for.
        """
        start = time.monotonic()
        while not condition():
            if time.monotonic() - start > seconds:
                self.journal.note(f"did not happen within {seconds:g} s: {what}")
                return False
            time.sleep(_POLL_SECONDS)
        self.journal.note(f"after {time.monotonic() - start:.3f} s: {what}")
        return True

    def pause(self, seconds: float) -> None:
        """Lets time pass, where time itself is the question; for everything else there is
        `until`.
        """
        time.sleep(seconds)

    def evidence(self) -> Evidence:
        """What the cell leaves to be read; table and counters are read now where the experiment did
        not.
        """
        if not self.journal.has_table and self.conntrack.count() <= _MOST_LISTED:
            self.flows()
        if not self.journal.has_counters:
            self.counters()
        return self.journal.evidence()
