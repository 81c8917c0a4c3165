"""What a run will take, in one or two lines."""

from __future__ import annotations

from pathlib import Path

from matrix.report.text.progress import about
from matrix.report.words import counted
from matrix.run.forecast import CELL_SECONDS, Forecast


def forecast_lines(found: Forecast, cache: Path) -> list[str]:
    """What is to be fetched and stored, unless that is nothing, and how long the run takes."""
    lines = []
    if found.fetch or found.hold:
        parts = [counted(found.kernels, "kernel")] if found.kernels else []
        parts += ["the packages of the guests' image"] if found.image else []
        what = f" ({' and '.join(parts)})" if parts else ""
        hold = f"about {found.hold / 1e9:.1f} GB in {cache}"
        lines.append(f"to fetch: {found.fetch / 1e6:.0f} MB{what}; to store: {hold}")
    lines.append(
        f"to take: at most about {about(found.seconds)} with {found.jobs}"
        f" {'guest' if found.jobs == 1 else 'guests'} at a time, downloads not counted, if cells take as long"
        f" as in the newest runs of this machine, and {CELL_SECONDS:g} s where none asked them"
    )
    return lines
