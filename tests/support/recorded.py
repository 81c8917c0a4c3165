"""What real kernels said to one and the same script, as recorded in tests/fixtures/guest/."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

KERNELS = ("5.10", "7.3")
_FIXTURES = Path(__file__).parents[1] / "fixtures" / "guest"


@cache
def recorded(kernel: str) -> dict[str, Any]:
    """The recording made on one kernel."""
    found: dict[str, Any] = json.loads((_FIXTURES / f"{kernel}.json").read_text())
    return found
