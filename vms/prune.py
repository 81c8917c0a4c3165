"""Lists the entries of the cache, and removes the least recently used ones."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from vms.cache import Cache
from vms.errors import UsageError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


MADE_HERE = ("templates", "initramfs", "helpers")
"""Kinds of entries that this machine makes within seconds, without asking any archive."""


_ABOUT = {
    "helpers": "helpers.json",
    "images": "image.json",
    "initramfs": "initramfs.json",
    "kernels": "kernel.json",
    "selftests": "selftests.json",
    "templates": "template.json",
}
"""The file that describes an entry, for each kind that has one."""

DAMAGED = "damaged"
LEFT_OVER = "left over"


@dataclass(frozen=True)
class Held:
    """One entry of the cache. `what` describes it, `size` is its size on disk in bytes, `used` the
    time of its last use (seconds since the epoch), `in_use` whether a process uses it now.

    `what` is `DAMAGED` if the entry cannot be read, `LEFT_OVER` if a killed process left it half
    made.
    """

    kind: str
    key: str
    what: str
    size: int
    used: float
    in_use: bool


@dataclass(frozen=True)
class Pruned:
    """The removed entries and the ones left, each with the least recently used first, and why
    entries could not be removed.
    """

    removed: tuple[Held, ...]
    held: tuple[Held, ...]
    failed: tuple[str, ...] = ()


def held(cache: Cache) -> tuple[Held, ...]:
    """All entries of the cache, the least recently used first."""
    entries = [
        _held(path) for kind in _directories(cache.root) for path in kind.iterdir() if path.suffix != ".lock"
    ]
    return tuple(
        sorted((entry for entry in entries if entry), key=lambda entry: (entry.used, entry.kind, entry.key))
    )


def prune(cache: Cache, keep: int, kinds: Container[str] | None = None) -> Pruned:
    """Removes what is damaged or left over, and then the least recently used entries until at most
    `keep` bytes are left.

    Of whole entries only those of these `kinds` are removed, by default of all. An entry that a
    process uses is never removed, so more than `keep` may remain.
    """
    before = held(cache)
    total = sum(entry.size for entry in before)
    removed, failed = [], []
    for entry in sorted(before, key=lambda entry: entry.what not in (DAMAGED, LEFT_OVER)):
        wanted = total > keep and (kinds is None or entry.kind in kinds)
        if not wanted and entry.what not in (DAMAGED, LEFT_OVER):
            continue
        path = cache.path(entry.kind, entry.key)
        try:
            if _remove(path):
                total -= entry.size
                removed.append(entry)
        except OSError as error:
            failed.append(f"{path} cannot be removed: {error}")
    for kind in _directories(cache.root):
        for lock in kind.glob("*.lock"):
            if not os.path.lexists(lock.with_suffix("")):
                with contextlib.suppress(OSError):  # one that cannot be removed harms nobody
                    _remove(lock.with_suffix(""))
    left = tuple(entry for entry in before if entry not in removed)
    return Pruned(tuple(removed), left, tuple(failed))


def parse_size(text: str) -> int:
    """The bytes in `20GB`, `1.5T`, `500 MB` or `0`; units are powers of 1000.

    Raises UsageError for anything else.
    """
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if not match:
        raise UsageError(f"{text!r} is not a size; write for example 20GB or 500MB")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def _directories(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _held(path: Path) -> Held | None:
    try:
        used, in_use = path.lstat().st_mtime, _used_by_another(_lock(path))
        try:
            what, size = _what(path), _size(path)
        except FileNotFoundError:
            raise
        except (OSError, ValueError):
            what, size = DAMAGED, 0
    except FileNotFoundError:  # it was published or removed in between
        return None
    return Held(path.parent.name, path.name, what, size, used, in_use)


def _what(path: Path) -> str:
    if path.name.startswith("."):
        return LEFT_OVER
    if path.parent.name == "apt":
        return "package lists"
    name = _ABOUT.get(path.parent.name)
    if name is None:
        return ""
    if not (path / name).is_file():
        return DAMAGED
    about = json.loads((path / name).read_bytes())
    return str(about.get("kernel", "")) if isinstance(about, dict) else DAMAGED


def _size(path: str | Path) -> int:
    # This runs at the end of every run, and a kernel has thousands of files: with Path objects it
    # takes more than twice as long.
    status = os.lstat(path)
    size = status.st_blocks * 512
    if stat.S_ISDIR(status.st_mode):
        with os.scandir(path) as entries:
            size += sum(_size(entry.path) for entry in entries)
    return size


def _lock(path: Path) -> Path:
    """The lock file of an entry; for the half-made `.KEY-xxxxxxxx` that of the entry KEY."""
    key = path.name[1:].rpartition("-")[0] if path.name.startswith(".") else path.name
    return path.with_name(f"{key}.lock")


def _used_by_another(lock: Path) -> bool:
    try:
        with lock.open("r") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no lock, or one that no process can hold
        return False
    return False


def _remove(path: Path) -> bool:
    """Removes an entry and its lock file unless it is in use.

    A crash in between leaves a left-over, never half an entry.
    """
    lock = _lock(path)
    with lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not lock.exists() or os.fstat(handle.fileno()).st_ino != lock.stat().st_ino:
            return False
        doomed = path
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            doomed = path.rename(path.with_name(f".{path.name}-removed"))
        if doomed.is_dir() and not doomed.is_symlink():
            shutil.rmtree(doomed)
        else:
            doomed.unlink(missing_ok=True)
        lock.unlink()
    return True
