"""Digests of content: the sha256 of a file or of a directory of modules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_MODULE = re.compile(r".*\.ko(\.(xz|zst|gz))?|modules\.(order|builtin|builtin\.modinfo)")


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(files: Iterable[tuple[str, Path]]) -> tuple[str, int]:
    """A sha256 of the names and contents of files, independent of their order, and their total size
    in bytes.
    """
    size, lines = 0, []
    for name, path in files:
        size += path.stat().st_size
        lines.append(f"{sha256_of(path)}  {name}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest(), size


def module_files(modules: Path) -> Iterator[tuple[str, Path]]:
    """The files of an installed directory of modules, without links and what depmod writes
    there.
    """
    for path in modules.rglob("*"):
        if _MODULE.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            yield str(path.relative_to(modules)), path
