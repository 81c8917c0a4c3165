"""Fuzzes one reader of foreign bytes, guided by what it has covered.

    .venv/bin/pip install atheris
    .venv/bin/python -m tests.fuzz NAME --seconds 300

atheris is not among the project's dependencies: nothing else needs it. What breaks a reader is left
in the current directory as `crash-...`, `timeout-...` or `oom-...`; `--only FILE` reads it again.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

_READ_SECONDS = 10  # that reading one input may take
_MEMORY = 2048  # MiB
_LARGEST = 64 << 10  # bytes of an input
# Python code whose branches guide the search: ours, and what reads formats for us.
_INSTRUMENTED = ["vms", "matrix", "guest", "tarfile", "tomllib", "ipaddress", "debian"]


def main() -> int:
    """Parses the command line; returns the exit code."""
    try:
        import atheris
    except ImportError:
        print(
            "atheris is missing, which guides the search: .venv/bin/pip install atheris (Python 3.11 to"
            " 3.13); without it `./invoke test` still tries a few changed inputs for each reader",
            file=sys.stderr,
        )
        return 3
    with atheris.instrument_imports(include=_INSTRUMENTED, enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz one reader.")
    parser.add_argument("name", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--only", metavar="FILE", help="read this input once instead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm") as scratch:
        child = os.fork()  # libFuzzer ends its process itself
        if not child:
            _fuzz(atheris, TARGETS[given.name], Path(scratch), given)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _fuzz(atheris: Any, target: Any, scratch: Path, given: argparse.Namespace) -> None:
    from tests.fuzz.mutate import mutate

    corpus, place = scratch / "corpus", scratch / "place"
    corpus.mkdir()
    place.mkdir()
    for number, seed in enumerate(target.seeds()):
        (corpus / str(number)).write_bytes(seed)

    def attempt(data: bytes) -> None:
        target.attempt(data, place)

    def changed(data: bytes, most: int, seed: int) -> bytes:
        chosen = random.Random(seed)
        found = mutate(data, chosen) if chosen.random() < 0.5 else atheris.Mutate(data, most)
        return bytes(found[:most])

    arguments = [sys.argv[0], f"-timeout={_READ_SECONDS}", f"-rss_limit_mb={_MEMORY}"]
    if given.only:
        arguments.append(given.only)
    else:
        arguments += [f"-max_total_time={given.seconds}", f"-max_len={_LARGEST}", "-print_final_stats=1"]
        arguments.append(str(corpus))
    atheris.Setup(arguments, attempt, custom_mutator=changed)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
