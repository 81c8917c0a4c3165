"""Guests that wait for another cell of their kernel: each is as its template was."""

from __future__ import annotations

import threading
import time
from typing import Any, Generic, Protocol, TypeVar

_KEEP_SECONDS = 30.0  # on a worker's machine nobody says when the run has ended


class Endable(Protocol):
    """Something that runs until it is ended."""

    def end(self) -> None:
        """Ends it."""


G = TypeVar("G", bound=Endable)


class Idle(Generic[G]):
    """The guests of this process that wait, each under its template; for any thread.

    A guest that waits for more than `seconds` is ended.
    """

    def __init__(self, seconds: float = _KEEP_SECONDS) -> None:
        self._seconds = seconds
        self._waiting: list[tuple[float, object, G]] = []  # the one that waits longest is first
        self._changed = threading.Condition()
        self._watched = False

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, seconds: float) -> None:
        """Lets guests that begin to wait from now on wait this long."""
        self._seconds = seconds

    def of(self, template: object) -> bool:
        """Whether a guest of this template waits."""
        with self._changed:
            return any(one == template for _, one, _ in self._waiting)

    def take(self, template: object) -> G | None:
        """The guest of this template that waited least, which its caller puts back or ends."""
        with self._changed:
            for place in reversed(range(len(self._waiting))):
                if self._waiting[place][1] == template:
                    return self._waiting.pop(place)[2]
        return None

    def put(self, template: object, guest: G) -> None:
        """Lets a guest wait."""
        with self._changed:
            self._waiting.append((time.monotonic(), template, guest))
            if not self._watched:
                self._watched = True
                threading.Thread(target=self._watch, name="idle guests", daemon=True).start()

    def end_one(self) -> bool:
        """Ends the guest that waited longest; False if none waits."""
        with self._changed:
            if not self._waiting:
                self._changed.notify()
                return False
            _, _, guest = self._waiting.pop(0)
        guest.end()
        return True

    def end_all(self) -> None:
        """Ends all guests that wait."""
        while self.end_one():
            pass

    def _watch(self) -> None:
        """Ends guests that have waited too long, until none waits."""
        while True:
            with self._changed:
                if not self._waiting:
                    self._watched = False
                    return
                left = self._waiting[0][0] + self._seconds - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                _, _, guest = self._waiting.pop(0)
            guest.end()


idle: Idle[Any] = Idle()
"""The waiting guests of this process, of whichever run."""
