"""conntrack-matrix as a user installs it: built, and put into an environment that was empty."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.project import ROOT

_SECONDS = 900
_PINNED = re.compile(r"^[a-z][\w.-]*==[\w.]+", re.MULTILINE)


@dataclass(frozen=True)
class Environment:
    """A virtual environment with nothing but pip in it, until something is installed."""

    root: Path

    @classmethod
    def empty(cls, root: Path) -> Environment:
        """Makes one in the directory."""
        finish([sys.executable, "-m", "venv", root])
        return cls(root)

    def install(self, built: Path, *flags: str) -> None:
        """Installs a wheel or sdist, with dependencies of the versions that are locked."""
        pinned = self.root / "pinned.txt"
        pinned.write_text("\n".join(_PINNED.findall((ROOT / "requirements.lock").read_text())))
        pip = [self.root / "bin" / "pip", "install", "--disable-pip-version-check", "--no-input"]
        finish([*pip, "--constraint", pinned, *flags, built])

    def run(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Runs `conntrack-matrix WORDS` in the directory."""
        return subprocess.run(
            [self.root / "bin" / "conntrack-matrix", *words],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )

    @property
    def modules(self) -> set[str]:
        """What site-packages holds."""
        (place,) = self.root.glob("lib/python3*/site-packages")
        return {path.name for path in place.iterdir()}


def build(directory: Path) -> tuple[Path, Path]:
    """Builds sdist and wheel into the directory, the wheel from the sdist, and returns both."""
    finish([sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, ROOT])
    (sdist,), (wheel,) = directory.glob("*.tar.gz"), directory.glob("*.whl")
    return sdist, wheel


def finish(command: Sequence[object]) -> None:
    """Runs a program, and fails with what it printed if it fails."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
