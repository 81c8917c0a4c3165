"""Tells a user who sees only a log that a long step goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_EVERY_SECONDS = 30.0


@contextmanager
def told(note: Callable[[str], None], step: str, every: float = _EVERY_SECONDS) -> Iterator[None]:
    """Calls `note` with the step's name, and again with how long it has taken so far each time
    `every` seconds have passed, until the context ends.
    """
    ended = threading.Event()
    began = time.monotonic()

    def remind() -> None:
        while not ended.wait(every):
            note(f"{step}: {time.monotonic() - began:.0f} s so far")

    note(step)
    reminding = threading.Thread(target=remind, name=step, daemon=True)
    reminding.start()
    try:
        yield
    finally:
        ended.set()
        reminding.join()
