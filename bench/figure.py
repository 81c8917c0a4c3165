"""What a measurement gives, and how a table of them is made."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from vms.errors import UsageError
from vms.suggest import suggestion

_NOT_MEASUREMENTS = {"generate", "figure", "guests", "left", "synthetic", "table"}
_ONLY_BY_NAME = {"endurance", "matrix", "soak"}  # each takes as long as all others together


@dataclass(frozen=True)
class Figure:
    """One number. `floor` is the least it could be (what the machine itself costs), in the same
    unit, and `floor_what` says what that is.

    `shares` divides it into named parts of the same unit, for a stacked bar; `series` is how it
    went, for a plot; `goal` is what it was meant to be.
    """

    key: str
    value: float
    unit: str
    meaning: str
    floor: float | None = None
    floor_what: str = ""
    goal: str = ""
    shares: Mapping[str, float] = field(default_factory=dict)
    series: Sequence[float] = ()


def names() -> list[str]:
    """Every measurement there is."""
    return [
        module.name
        for module in pkgutil.iter_modules(importlib.import_module("bench").__path__)
        if module.name not in _NOT_MEASUREMENTS
    ]


def chosen(wanted: Iterable[str]) -> list[str]:
    """The wanted measurements, or all but the longest when none is named.

    Raises UsageError for a name that is none.
    """
    known = names()
    for name in wanted:
        if name not in known:
            raise UsageError(f"no measurement is called {name!r}; {suggestion(name, known)}")
    return list(wanted) or [name for name in known if name not in _ONLY_BY_NAME]


def measure(name: str) -> list[Figure]:
    """Takes one measurement."""
    figures: list[Figure] = importlib.import_module(f"bench.{name}").measure()
    return figures


def as_json(results: Mapping[str, list[Figure]]) -> dict[str, dict[str, object]]:
    """The figures for machines: by measurement, then by key; each number under its own key,
    everything else under `about`.
    """
    return {
        name: {
            **{figure.key: figure.value for figure in figures},
            "about": [asdict(figure) for figure in figures],
        }
        for name, figures in results.items()
    }


def bar(shares: Mapping[str, float], width: int = 40) -> str:
    """A stacked bar of the shares in text, each part by its letter: `aaaabbc  a exec 0.040  b
    restore 0.020 ...`.
    """
    total = sum(shares.values())
    letters = dict(zip(shares, "abcdefghijklmnopqrstuvwxyz", strict=False))
    if not total:
        return ""
    drawn = "".join(letters[name] * round(width * value / total) for name, value in shares.items())
    return f"{drawn}  " + "  ".join(f"{letters[name]} {name} {value:.3f}" for name, value in shares.items())


def plot(series: Sequence[float]) -> str:
    """The series as a row of columns from 0 to its largest value: `▁▄█  0 to 12.5`."""
    most = max(series, default=0.0)
    columns = "▁▂▃▄▅▆▇█"
    if most <= 0:
        return ""
    drawn = "".join(columns[round(max(value, 0.0) / most * (len(columns) - 1))] for value in series)
    return f"{drawn}  0 to {most:.3g}"
