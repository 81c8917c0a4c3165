"""A function that reads bytes which somebody else wrote, as a fuzzer sees it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """One reader of foreign bytes.

    `read` gives the bytes to it and asserts what must hold of the result; the directory is empty
    and for its files. `refusals` are the errors by which it says that the bytes cannot be used: any
    other error is a finding. `seeds` returns bytes that it takes, to begin with.
    """

    name: str
    read: Callable[[bytes, Path], object]
    refusals: tuple[type[Exception], ...]
    seeds: Callable[[], list[bytes]]

    def attempt(self, data: bytes, place: Path) -> bool:
        """Reads the bytes once; whether they were taken. Raises what is no refusal.

        `place` is an empty directory, and is left empty.
        """
        try:
            with contextlib.suppress(*self.refusals):
                self.read(data, place)
                return True
            return False
        finally:
            for left in place.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
