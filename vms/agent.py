"""The program that runs in guests and answers requests, as it lies on this host."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Agent:
    """The program that answers requests inside a guest: a Python package, which is pushed, and the
    module in it that is started.

    `own` is a directory of the user's that is pushed beside the package, with that name.
    """

    directory: Path
    module: str
    own: Path | None = None

    @property
    def parts(self) -> Mapping[str, Path]:
        """The directories that a guest gets, by their names there."""
        return {self.directory.name: self.directory} | ({"own": self.own} if self.own else {})

    @cached_property
    def digest(self) -> str:
        """A digest that changes with any byte or name in the package."""
        digest = hashlib.sha256(self.module.encode())
        for name, top in self.parts.items():
            for path in sorted(top.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    content = path.read_bytes()
                    digest.update(f"\n{name}/{path.relative_to(top)} {len(content)}\n".encode() + content)
        return digest.hexdigest()[:32]
