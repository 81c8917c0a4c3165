"""A Dask scheduler and its workers on loopback, each a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

from tests.support.project import ROOT


class Site:
    """The scheduler runs from the start, each worker from when it is asked for.

    `held` ends them all. At `tls` they use the certificate in $XDG_CONFIG_HOME.
    """

    def __init__(self, held: ExitStack, protocol: str = "tls") -> None:
        self._held = held
        self._flags = f"authenticated={protocol == 'tls'}"
        # At a port that is free, of which it tells.
        self.scheduler, said = self._start(f"serve_scheduler('127.0.0.1', 0, say, {self._flags})")
        self.address = said.removeprefix("scheduler: ").strip()

    def worker(self, slots: int = 1, **environment: str) -> subprocess.Popen[str]:
        call = f"serve_worker({self.address!r}, {slots}, say, {self._flags})"
        return self._start(call, **environment)[0]

    def _start(self, call: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
        """A process that does this, and the first line that it prints: it is ready then."""
        program = f"from matrix.dask.serve import *; say = lambda text: print(text, flush=True); {call}"
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self._held.enter_context(process)
        self._held.callback(process.kill)
        assert process.stdout
        said = process.stdout.readline()
        assert said, f"{call} did not start"
        return process, said
