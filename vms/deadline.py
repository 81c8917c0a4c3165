"""A deadline that is made once, handed down, and names what is awaited."""

from __future__ import annotations

import time
from collections.abc import Callable

from vms.errors import HostError
from vms.interrupt import interrupted


class Deadline:
    """A point in time, and what is awaited until then. The time is monotonic, or that of the
    `clock` of a guest, which stands still while the guest waits for a processor.

    >>> boot = Deadline(60, "6.12.117 to boot")
    >>> with_socket.settimeout(boot.remaining)
    """

    def __init__(self, seconds: float, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self.what = what
        self._clock = clock
        self._end = clock() + seconds

    def on(self, clock: Callable[[], float], slowness: float = 1.0) -> Deadline:
        """This deadline by another clock, with `slowness` times the seconds that are left; itself
        if it goes by that clock already.
        """
        if self._clock == clock:
            return self
        moved = Deadline(self.remaining * slowness, self.what, clock)
        moved.seconds = self.seconds * slowness
        return moved

    def __repr__(self) -> str:
        return f"Deadline({self.remaining:.1f} s left of {self.seconds:g} s for {self.what})"

    @property
    def remaining(self) -> float:
        """Seconds left on its clock, never negative; 0 after an interrupt."""
        if interrupted():
            return 0.0
        return max(0.0, self._end - self._clock())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining == 0.0

    def check(self) -> None:
        """Raises HostError if no time is left: for loops that do not wait."""
        if self.expired:
            raise HostError(f"{self.what} did not finish within {self.seconds:g} s")
