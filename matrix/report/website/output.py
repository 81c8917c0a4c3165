"""Writes the site into a directory that holds nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from matrix import VERSION
from vms.directories import File, replace_directory
from vms.errors import UsageError

MARK = ".conntrack-matrix-site"
"""A file by which a directory is known as a site that may be replaced."""


def site_directory(text: str) -> Path:
    """The directory that the user gave for a site.

    Raises UsageError if something else than a former site is there, or nothing can be written.
    """
    path = Path(text).resolve()
    wrong = f"--output {text!r}:"
    if path.exists() and not path.is_dir():
        raise UsageError(f"{wrong} this is a file; give a directory that is empty or does not exist")
    above = next(parent for parent in path.parents if parent.exists())
    if not above.is_dir():
        raise UsageError(f"{wrong} {above} is a file; give a directory that is empty or does not exist")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"{wrong} {above} cannot be written; make it writable, or give another directory")
    try:
        names = [entry.name for entry in path.iterdir()] if path.exists() else []
    except OSError as error:
        raise UsageError(f"{wrong} it cannot be read: {error.strerror}; give another directory") from error
    if names and MARK not in names:
        raise UsageError(
            f"{wrong} this directory is neither empty nor a site that was written before; give another one"
        )
    return path


def write_site(directory: Path, files: Iterable[File]) -> None:
    """Writes the site, in place of the one that was there."""
    replace_directory(directory, _marked(files))


def _marked(files: Iterable[File]) -> Iterable[File]:
    yield MARK, f"{VERSION}\n".encode()
    yield from files
