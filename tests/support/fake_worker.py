"""Guests that a worker in another process can make; what they are asked is written to files that
the test reads.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class FakeSource:
    """`directory` is where it is written.

    Each answer takes `seconds`. The environment may give a worker another agent: FAKE_AGENT.
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
        time.sleep(self.seconds)
        return answer(request, facts={"flows": len(name)}, evidence={"name.txt": {"text": name}})

    def asked(self) -> dict[int, Counter[str]]:
        """By process, how often each cell was asked."""
        return {int(path.name): Counter(path.read_text().splitlines()) for path in self.directory.iterdir()}
