"""Links in run directories. No run has any, but the directory of somebody else may, and what is
read or written through one is outside of the run.
"""

from __future__ import annotations

import os
from pathlib import Path


def holds_links(directory: Path | str) -> bool:
    """Whether a link is anywhere in the directory."""
    with os.scandir(directory) as entries:
        return any(
            entry.is_symlink() or (entry.is_dir(follow_symlinks=False) and holds_links(entry.path))
            for entry in entries
        )


def plain_file(run: Path, path: Path) -> Path:
    """The path of a file in the run. Raises OSError if it is none, or if a link leads there."""
    if path.resolve(strict=True) != run.resolve() / path.relative_to(run) or not path.is_file():
        raise OSError(f"{path} is not a file of the run {run}")
    return path
