"""Facts in words."""

from __future__ import annotations

from matrix.plan.plan import cell_label, variant_name
from matrix.results.record import FactValue, Record


def in_words(value: FactValue) -> str:
    """A fact's value on one line: `yes`, `7`, `SYN_SENT 7, UNREPLIED 3`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items()) or "none"
    return str(value) if value != "" else "empty"


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things: `1 kernel`, `2 kernels`. `many` is the plural unless that is `one` and an
    s.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def leak_in_words(record: Record) -> str:
    """What a cell with a leak answered, and after which cell; empty if it has none."""
    if record.leak is None:
        return ""
    what = cell_label(record.experiment, variant_name(record.variant))
    return f"after {record.leak.after}: {what} on {record.kernel} answered {record.leak.answer}"
