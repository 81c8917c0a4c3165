"""How much more time and memory a kernel needs because of the debugging options in its
configuration (Documentation/dev-tools/ in the kernel's source).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vms.kernels.kernel import BootFiles

# For each option how many times longer a boot may take, and how many times the memory is needed.
_OPTIONS = {
    "KASAN": (5.0, 2.0),
    "KMSAN": (8.0, 4.0),
    "KCSAN": (5.0, 1.5),
    "PROVE_LOCKING": (3.0, 1.25),
    "DEBUG_PAGEALLOC": (2.0, 1.0),
    "DEBUG_KMEMLEAK": (2.0, 1.25),
    "UBSAN": (1.5, 1.0),
}
_MOST_SLOWNESS = 20.0
_MOST_MEMORY = 4.0


@dataclass(frozen=True)
class Burden:
    """How many times the usual seconds and the usual memory a guest of a kernel is given."""

    slowness: float = 1.0
    memory: float = 1.0


def burden(files: BootFiles) -> Burden:
    """The burden of a kernel; none if its configuration is not known."""
    text = files.config.read_text(errors="replace") if files.config else ""
    slowness = memory = 1.0
    for option in re.findall(r"^CONFIG_(\w+)=y$", text, re.MULTILINE):
        slower, larger = _OPTIONS.get(option, (1.0, 1.0))
        slowness *= slower
        memory *= larger
    return Burden(min(slowness, _MOST_SLOWNESS), min(memory, _MOST_MEMORY))
