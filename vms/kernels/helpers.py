"""The helpers of the kernel's tests that are written in C, built on this machine."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vms import tool
from vms.cache import Cache
from vms.deadline import Deadline
from vms.kernels.digest import digest_of, sha256_of

_KIND = "helpers"
_SECONDS = 120
_COMPILER = "gcc"
# What a source includes, the word for the linker, and Debian's package of both.
_LIBRARIES = (("libmnl/", "-lmnl", "libmnl-dev"),)
_ERROR = re.compile(r"\berror: (.{1,200})|(cannot find -l\S{1,50})")


@dataclass(frozen=True)
class Helpers:
    """Programs by name, and why others could not be built."""

    built: Mapping[str, Path]
    failed: Mapping[str, str]


def build_helpers(place: Path, names: Iterable[str], cache: Cache) -> Helpers:
    """Builds the helpers of these names from `NAME.c` in the directory of tests `place`, or takes
    them from the cache; static programs, as far as there are static libraries here.

    Raises HostError if the disk is full.
    """
    built: dict[str, Path] = {}
    failed: dict[str, str] = {}
    compiler = shutil.which(_COMPILER)
    for name in sorted(names):
        if compiler is None:
            failed[name] = f"{_COMPILER} is not installed here"
        elif not (place / f"{name}.c").is_file():
            failed[name] = f"there is no {name}.c"
        else:
            try:
                built[name] = _helper(compiler, place, name, cache)
            except tool.ToolFailed as error:
                failed[name] = _why(error.output)
    return Helpers(built, failed)


def _helper(compiler: str, place: Path, name: str, cache: Cache) -> Path:
    deadline = Deadline(_SECONDS, f"building {name}, which tests need")
    version = tool.run([compiler, "--version"], deadline).partition("\n")[0]
    content, _ = digest_of((str(path), path) for path in _sources(place, name))
    key = hashlib.sha256(f"{version} {content}".encode()).hexdigest()[:32]

    def build(entry: Path) -> None:
        _compile(compiler, place, name, entry / name, deadline)
        about = {"kernel": f"{name} of tests", "sha256": sha256_of(entry / name)}
        (entry / "helpers.json").write_text(json.dumps(about))

    def whole(entry: Path) -> bool:
        try:
            return bool(
                json.loads((entry / "helpers.json").read_bytes())["sha256"] == sha256_of(entry / name)
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    return cache.ensure(_KIND, key, build, deadline, whole) / name


def _sources(place: Path, name: str) -> Iterator[Path]:
    """What the program is made of: its source, and the headers beside and above it."""
    yield place / f"{name}.c"
    for directory in (place, *_above(place)):
        yield from sorted(directory.glob("*.h"))


def _above(place: Path) -> list[Path]:
    """The directories above the tests that have headers for them, as far as the tests' own."""
    return list(place.parents)[:2]


def _compile(compiler: str, place: Path, name: str, target: Path, deadline: Deadline) -> None:
    text = (place / f"{name}.c").read_text(errors="replace")
    libraries = [word for included, word, _ in _LIBRARIES if f"<{included}" in text]
    headers = [word for directory in _above(place) for word in ("-I", str(directory))]
    command = [compiler, "-O2", "-w", *headers, "-o", str(target), f"{name}.c", *libraries, "-lpthread"]
    try:
        tool.run([*command, "-static"], deadline, cwd=place)
    except tool.ToolFailed:
        tool.run(command, deadline, cwd=place)  # not every library has a static form in Debian


def _why(output: str) -> str:
    """The compiler's first error, with the package that would help."""
    found = _ERROR.search(output)
    said = (found[1] or found[2]) if found else "gcc failed"
    packages = [package for included, word, package in _LIBRARIES if included in said or word in said]
    return said + "".join(f" (Debian: {package})" for package in packages)
