"""Writes directories whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from vms.files import disk_errors, sync_directory
from vms.tool import sync

File = tuple[str, bytes]
"""A path below a directory, and what is there."""


def replace_directory(path: Path, files: Iterable[File]) -> None:
    """Creates or replaces the directory, of which `files` are all paths and contents, so that
    readers see the old one or the new one. Everybody may read it, whatever the caller's umask.

    Raises HostError when the disk is full or the place cannot be written.
    """
    with disk_errors(f"writing {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Named before they are there, so that an interrupt at any moment removes them.
        token = secrets.token_hex(4)
        fresh, old = (path.with_name(f".{path.name}-{token}{end}") for end in ("", ".old"))
        try:
            fresh.mkdir()
            for name, content in files:
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).write_bytes(content)
            for made in (fresh, *fresh.rglob("*")):
                made.chmod(0o755 if made.is_dir() else 0o644)
            sync(fresh)
            _swap(path, fresh, old)
            sync_directory(path.parent)
        finally:
            for left in (fresh, old):
                shutil.rmtree(left, ignore_errors=True)


def _swap(path: Path, fresh: Path, old: Path) -> None:
    """Puts the new directory in place of the old one, or leaves the old one there."""
    try:
        if path.exists():
            path.rename(old)
        fresh.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
