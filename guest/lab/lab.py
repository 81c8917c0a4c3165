"""The lab of one cell: its own namespace, what there is once per cell, and waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from guest import linux
from guest.lab.journal import Evidence, Journal
from guest.lab.namespace import Namespace
from guest.lab.netns import Netns
from guest.root import Asking

_POLL_SECONDS = 0.01
_PROBE_SECONDS = 0.05
_MOST_LISTED = 2000
_TRIES = 6


class Lab(Namespace):
    """The fresh network namespace in which a cell runs, and what there is once per cell.

    `root` asks the guest's root for what belongs to the whole machine. Every method of `Namespace`
    applies to the cell's own namespace; `new_namespace()` makes more of them.
    """

    def __init__(self, netns: Netns, root: Asking, variant: Mapping[str, str]) -> None:
        super().__init__(netns, Journal(), variant)
        self.root = root
        root.settings = self.control.settings
        for name, value in self.control.machine.items():
            root.write(f"/proc/sys/{name}", value)

    def initial(self) -> Namespace:
        """The machine's initial network namespace, for a cell that runs as root. What is changed
        there is not undone before the guest ends.
        """
        with Path("/proc/1/ns/net").open() as first:
            own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                linux.setns(first.fileno(), linux.CLONE_NEWNET)
                return Namespace(Netns(), self.journal, self.variant)
            finally:
                linux.setns(own, linux.CLONE_NEWNET)
                os.close(own)

    def undisturbed(self) -> Iterator[Namespace]:
        """Fresh namespaces for further tries, as long as early drop disturbed the last one.

        A new flow that finds the table full evicts an unassured flow in the eight buckets next to
        its own. With seven flows in thousands of buckets that depends on the hash alone, and would
        make the cell's facts random: such a try is repeated. A kernel that always evicts is
        reported as it is.
        """
        for _ in range(_TRIES):
            place = self.new_namespace()
            yield place
            if not place.statistics()["early_drop"]:
                return

    def until(self, what: str, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until a condition holds; returns whether it did within the time.

        `what` names the condition in the cell's notes.
        """
        start = time.monotonic()
        seconds = seconds if self.control.waits else 0.0
        while not condition():
            if time.monotonic() - start > seconds:
                self.journal.note(f"did not happen within {seconds:g} s: {what}")
                return False
            time.sleep(_POLL_SECONDS)
        self.journal.note(f"after {time.monotonic() - start:.3f} s: {what}")
        return True

    def when(self, what: str, condition: Callable[[], bool]) -> str:
        """How soon a condition holds, for what the kernel may do later: `at once`, `within 1 s`,
        `within 3 s`, or `later` if it does not within three seconds.

        It is looked at immediately, then every 50 ms. `what` names it in the cell's notes.
        """
        start = time.monotonic()
        turn = 0
        while not condition():
            if time.monotonic() - start > 3 or not self.control.waits:
                self.journal.note(f"did not happen within 3 s: {what}")
                return "later"
            turn += 1
            time.sleep(max(0.0, start + _PROBE_SECONDS * turn - time.monotonic()))
        took = time.monotonic() - start
        self.journal.note(f"at look {turn + 1}, after {took:.3f} s: {what}")
        return "at once" if not turn else "within 1 s" if took < 1 else "within 3 s"

    def pause(self, seconds: float) -> None:
        """Sleeps, for experiments about time itself; `until` is for everything else."""
        if self.control.waits:
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
