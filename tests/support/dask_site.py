"""A Dask scheduler and its workers on loopback, each a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack

from tests.support.project import ROOT


class Site:
    """The scheduler runs from the start, each worker from when it is asked for.

    `held` ends them all. At `tls` they use the certificate in $XDG_CONFIG_HOME.
    """

    def __init__(self, held: ExitStack, protocol: str = "tls") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._held = held
        self.address = f"{protocol}://127.0.0.1:{port}"
        self._flags = f"authenticated={protocol == 'tls'}"
        self.scheduler = self._start(f"serve_scheduler('127.0.0.1', {port}, say, {self._flags})")

    def worker(self, slots: int = 1, **environment: str) -> subprocess.Popen[str]:
        return self._start(f"serve_worker({self.address!r}, {slots}, say, {self._flags})", **environment)

    def _start(self, call: str, **environment: str) -> subprocess.Popen[str]:
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
        assert process.stdout.readline(), f"{call} did not start"
        return process
