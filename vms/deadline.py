"""A deadline that is made once, handed down, and names what is awaited."""

from __future__ import annotations

import time

from vms.errors import HostError
from vms.interrupt import interrupted


class Deadline:
    """A point in monotonic time, and what is awaited until then.

    >>> boot = Deadline(60, "6.12.117 to boot")
    >>> with_socket.settimeout(boot.remaining)
    """

    def __init__(self, seconds: float, what: str) -> None:
        self.seconds = seconds
        self.what = what
        self._end = time.monotonic() + seconds

    def __repr__(self) -> str:
        return f"Deadline({self.remaining:.1f} s left of {self.seconds:g} s for {self.what})"

    @property
    def remaining(self) -> float:
        """Seconds left, never negative; 0 after an interrupt."""
        if interrupted():
            return 0.0
        return max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining == 0.0

    def check(self) -> None:
        """Raises HostError if no time is left: for loops that do not wait."""
        if self.expired:
            raise HostError(f"{self.what} did not finish within {self.seconds:g} s")
