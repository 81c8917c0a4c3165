"""Small disks in mount namespaces of their own, on which `full_disk` is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support import full_disk

_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "--"]
ALLOWED = subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def on_a_disk_of(room: str, make: str, place: Path, *arguments: str | Path) -> tuple[str, list[str], str]:
    """What came of making it on a disk of that size, what was published then, and what came of it
    once there was room.
    """
    place.mkdir()
    command = [
        *_NAMESPACE,
        sys.executable,
        "-m",
        full_disk.__name__,
        str(place),
        room,
        make,
        *map(str, arguments),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=600,  # however busy the machine is
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert done.returncode == 0, done.stderr
    full, published, then = json.loads(done.stdout)
    return full, published, then
