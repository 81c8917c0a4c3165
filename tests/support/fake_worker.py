"""Guests that a worker in another process can make; what they are asked is written to files that
the test reads.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matrix.run.guests import Guests
from tests.support.fakes import SURROUNDINGS, FakeGuests, answer
from vms.answer import Answer
from vms.image import Image

_MOST_HELD = 600.0  # seconds; longer than any test


@dataclass(frozen=True)
class FakeSource:
    """`directory` is where it is written.

    Each answer takes `seconds`. The environment may give a worker another agent: FAKE_AGENT. A
    worker that is held answers no more, once it was asked that many cells, until it is released.
    """

    directory: Path
    seconds: float = 0.05

    def __call__(self, image: Image) -> Guests:
        assert image.squashfs.read_bytes() == b"userland"
        agent = os.environ.get("FAKE_AGENT", SURROUNDINGS.agent)
        return FakeGuests(self.behave, surroundings=replace(SURROUNDINGS, image=image.sha256, agent=agent))

    def behave(self, kernel: str, request: dict[str, Any]) -> Answer:
        name = f"{kernel} {request['experiment']} {','.join(request['variant'].values())}"
        with (self.directory / str(os.getpid())).open("a") as log:
            log.write(f"{name}\n")
        self._wait()
        time.sleep(self.seconds)
        return answer(request, facts={"flows": len(name)}, evidence={"name.txt": {"text": name}})

    def hold(self, pid: int, cells: int) -> None:
        """Holds the worker with this process."""
        self._held(pid).parent.mkdir(exist_ok=True)
        self._held(pid).write_text(str(cells))

    def release(self, pid: int) -> None:
        self._held(pid).unlink()

    def _held(self, pid: int) -> Path:
        return self.directory.with_name("held") / str(pid)

    def _wait(self) -> None:
        """Waits while this process is held."""
        asked = self.asked()[os.getpid()].total()
        end = time.monotonic() + _MOST_HELD
        with contextlib.suppress(FileNotFoundError):
            while asked >= int(self._held(os.getpid()).read_text()) and time.monotonic() < end:
                time.sleep(0.02)

    def asked(self) -> dict[int, Counter[str]]:
        """By process, how often each cell was asked."""
        return {int(path.name): Counter(path.read_text().splitlines()) for path in self.directory.iterdir()}
