"""A measurement sees what is left behind."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from bench.left import left
from vms.runtime import private_directory


def test_counts_are_of_processes_threads_files_ports_directories_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gc.collect()  # what earlier tests left must not be freed meanwhile
    before = left()
    held = bytearray(os.urandom(1)) * (64 << 20)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    with (
        subprocess.Popen(["sleep", "60"]) as child,
        socket.create_server(("127.0.0.1", 0)),
        private_directory(),
    ):
        (tmp_path / "conntrack-matrix-abcdefgh").mkdir()  # nobody holds it
        after = left()
        child.kill()
    done.set()
    thread.join()
    assert after.children == before.children + 1
    assert after.threads == before.threads + 1
    assert after.files >= before.files + 2  # the socket, and the lock of the private directory
    assert after.ports == before.ports + 1
    assert after.directories == before.directories + 1
    assert after.memory - before.memory > 60 << 20
    assert held
