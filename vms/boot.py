"""What a kernel reported of itself before its guests were ready for a question: whether it was
tainted, and the splats of its boot.
"""

from __future__ import annotations

from dataclasses import dataclass

from vms.splats import MOST_SPLATS, Splat

# Documentation/admin-guide/tainted-kernels.rst in the kernel's source, from bit 0 on.
_TAINTS = (
    ("P", "a proprietary module was loaded"),
    ("F", "a module was loaded by force"),
    ("S", "the machine is out of the kernel's specification"),
    ("R", "a module was unloaded by force"),
    ("M", "the processor reported a machine check"),
    ("B", "a bad page was found"),
    ("U", "user space asked for it"),
    ("D", "the kernel died recently"),
    ("A", "an ACPI table was overridden"),
    ("W", "the kernel warned"),
    ("C", "a staging driver was loaded"),
    ("I", "a bug of the firmware was worked around"),
    ("O", "an out-of-tree module was loaded"),
    ("E", "an unsigned module was loaded"),
    ("L", "a soft lockup occurred"),
    ("K", "the kernel was live patched"),
    ("X", "set by the distribution"),
    ("T", "built with randomised structures"),
    ("N", "a test ran in the kernel"),
    ("J", "a debugging operation changed a device"),
)


@dataclass(frozen=True)
class Boot:
    """`tainted` is the number in /proc/sys/kernel/tainted, `splats` what the console shows."""

    tainted: int = 0
    splats: tuple[Splat, ...] = ()

    def __post_init__(self) -> None:
        """Bounds both: they come from guests and other people's run directories."""
        object.__setattr__(self, "tainted", self.tainted & ((1 << len(_TAINTS)) - 1))
        object.__setattr__(self, "splats", self.splats[:MOST_SPLATS])

    def __or__(self, other: Boot) -> Boot:
        """What was reported in either of two boots."""
        return Boot(self.tainted | other.tainted, tuple(dict.fromkeys((*self.splats, *other.splats))))

    @property
    def lines(self) -> tuple[str, ...]:
        """Each report on a line; none if the kernel had nothing to report."""
        bits = [taint for bit, taint in enumerate(_TAINTS) if self.tainted >> bit & 1]
        letters, meanings = "".join(letter for letter, _ in bits), "; ".join(text for _, text in bits)
        tainted = (f"tainted {letters}: {meanings}",) if bits else ()
        return (*tainted, *(splat.line for splat in self.splats))
