"""A program on a terminal of its own, at which a test types."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 60.0


class Terminal:
    """What a program at a terminal has shown so far, and the keys for it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._shown = ""

    def type(self, keys: str) -> None:
        """Presses these keys."""
        os.write(self._handle, keys.encode())

    def wait_for(self, pattern: str) -> None:
        """Returns once what is shown since the last wait matches; raises AssertionError if that
        does not come about.
        """
        end = time.monotonic() + _PATIENCE
        while not (found := re.search(pattern, self._shown)):
            ready, _, _ = select.select([self._handle], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{pattern!r} was not shown, but {self._shown!r}"
            self._shown += os.read(self._handle, 65_536).decode(errors="replace")
        self._shown = self._shown[found.end() :]


@contextmanager
def at_terminal(
    command: Sequence[str], directory: Path, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """The program at a terminal without escape sequences, which is killed at the end."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=directory,
        env={**environment, "TERM": "dumb"},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    try:
        yield Terminal(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
