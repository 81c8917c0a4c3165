"""conntrack-matrix, installed: in the wheel, this file is the package's `__init__.py`."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Runs the command line. Our packages are found here first, whatever else is installed."""
    sys.path.insert(0, str(Path(__file__).parent))
    from commands.__main__ import main as run

    run(sys.argv[1:])
