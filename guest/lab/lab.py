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
        if variant.get("control") == "no-settings":
            root.keep_settings = True

    def until(self, what: str, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until a condition holds; returns whether it did within the time.

        `what` names the condition in the cell's notes.
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
        """Sleeps, for experiments about time itself; `until` is for everything else."""
        time.sleep(seconds)

    def evidence(self) -> Evidence:
        """The evidence of the cell; table and counters are read now if the experiment did not read
        them.
        """
        if not self.journal.has_table and self.conntrack.count() <= _MOST_LISTED:
            self.flows()
        if not self.journal.has_counters:
            self.counters()
        return self.journal.evidence()
