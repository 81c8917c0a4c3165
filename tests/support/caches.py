"""Caches in use by another process, filled ones, and what a cache holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from vms.cache import Cache

HOLDER = """
import sys, time
from pathlib import Path
from vms.cache import Cache
from vms.deadline import Deadline
cache = Cache(Path(sys.argv[1]))
def build(entry):
    (entry / "half").write_text("x")
    print("building", flush=True)
    time.sleep(60)
if sys.argv[2] == "build":
    cache.ensure("kind", "key", build, Deadline(60, "the test"))
else:
    cache.ensure("kind", "key", lambda entry: None, Deadline(60, "the test"))
    print("using", flush=True)
    time.sleep(60)
"""


def holder(root: Path, doing: str) -> subprocess.Popen[bytes]:
    """Another process that builds or uses the entry, and is at it."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(root), doing], stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline().strip() == {"build": b"building", "use": b"using"}[doing]
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def fill(root: Path, kind: str, key: str, size: int, age: float) -> None:
    """An entry of that many bytes, last used `age` seconds ago. It says what it is where entries
    of its kind do.
    """
    entry = root / kind / key
    entry.mkdir(parents=True)
    about = {"kernels": "kernel.json", "templates": "template.json"}.get(kind)
    if about:
        (entry / about).write_text(json.dumps({"kernel": key}))
    (entry / "content").write_bytes(os.urandom(size))
    os.utime(entry, (time.time() - age,) * 2)


def files(cache: Cache) -> list[str]:
    """All that the cache holds but locks."""
    return sorted(
        str(path.relative_to(cache.root))
        for path in cache.root.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    )


def packages(cache: Cache) -> list[str]:
    return [name for name in files(cache) if name.startswith(("downloads/", "kernels/"))]
