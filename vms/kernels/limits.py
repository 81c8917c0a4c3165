"""How large the files of a kernel may be: nobody vouches for those that users hand over."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from vms.errors import FetchError


class Limit(Enum):
    """A kind of file, and the most bytes that one has."""

    VMLINUZ = ("a vmlinuz", 128 << 20)
    CONFIG = ("a configuration", 4 << 20)
    LIST = ("a list of modules", 8 << 20)  # Debian's have less than 1 MiB
    MODULE = ("a module", 512 << 20)  # one with debugging information
    TEST = ("a test", 16 << 20)
    BUILT_MODULE = ("a module in a tree", 2 << 30)  # not yet stripped

    def __init__(self, what: str, most: int) -> None:
        self.what = what
        self.most = most


def limited(path: Path, limit: Limit) -> Path:
    """The path. Raises FetchError if it is no plain file, or larger than one of its kind can be:
    such a file would be read for ever, or take all memory or disk.
    """
    if not path.is_file():
        raise FetchError(f"{path} is not a plain file, as {limit.what} is")
    size = path.stat().st_size
    if size > limit.most:
        raise FetchError(f"{path} has {size} bytes, too many for {limit.what}")
    return path
