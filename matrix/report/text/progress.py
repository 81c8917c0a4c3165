"""Shows the progress of a run: a live table on a terminal, a line per step elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from matrix.plan.plan import cell_label, variant_name
from matrix.report.text.terminal import headline
from matrix.report.words import counted
from matrix.results.record import Record, Status
from matrix.run.progress import KernelProgress, Overview, Phase
from vms.text import shown

_NOTE_CHARACTERS = 4_000
_EVERY_SECONDS = 30.0
_GOOD = (Status.PASS, Status.UNSUPPORTED)
_STYLES = {Phase.WAITING: "dim", Phase.DONE: "green", Phase.FAILED: "bold red"}


class LiveDisplay:
    """A table with a line per kernel, kept up to date; it remains when the context ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._kernels: dict[str, KernelProgress] = {}
        self._overview: Overview | None = None
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="ellipsis")

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.tick()
        self._live.__exit__(None, None, None)

    def note(self, text: str) -> None:
        """Prints a line above the table."""
        self._console.print(Text(shown(text, _NOTE_CHARACTERS)))

    def changed(self, kernel: KernelProgress) -> None:
        """Keeps the kernel's progress for the next tick."""
        self._kernels[kernel.name] = kernel
        if kernel.phase is Phase.FAILED:
            self.note(headline(kernel.message))

    def finished(self, record: Record) -> None:
        """Prints a cell that ended badly; not if its kernel never booted, which is printed once."""
        if record.status not in _GOOD and record.attempts:
            self.note(_cell(record))

    def overview(self, overview: Overview) -> None:
        """Keeps the overview for the next tick."""
        self._overview = overview

    def tick(self) -> None:
        """Redraws the table, with the newest changes and the overview below it."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        for kernel in self._kernels.values():
            counts = ", ".join(f"{number} {status}" for status, number in kernel.statuses.items() if number)
            seconds = kernel.elapsed if kernel.phase.rank < Phase.DONE.rank else sum(kernel.seconds.values())
            table.add_row(
                Text(kernel.name, "bold"),
                Text(kernel.phase, _STYLES.get(kernel.phase, "cyan")),
                f"{kernel.done}/{kernel.cells}",
                f"{seconds:.0f} s",
                counts,
            )
        below = []
        if self._overview:
            below = [Text(shown(line, _NOTE_CHARACTERS), "dim") for line in self._overview.newest]
            below.append(Text(_progress(self._overview), "bold"))
        self._live.update(Group(table, *below), refresh=True)


class LineDisplay:
    """Prints a line when a kernel enters a phase or a cell ends badly, and every 30 seconds how far
    the run is: for pipes and logs.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._next = clock() + _EVERY_SECONDS

    def __enter__(self) -> LineDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def note(self, text: str) -> None:
        """Prints the line."""
        self._console.print(Text(shown(text, _NOTE_CHARACTERS)), soft_wrap=True)

    def changed(self, kernel: KernelProgress) -> None:
        """Prints the kernel's new phase, or how the kernel ended."""
        if kernel.phase is Phase.FAILED:
            self.note(f"{kernel.name}: {headline(kernel.message)}")
        elif kernel.phase is Phase.DONE:
            seconds = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in kernel.seconds.items())
            self.note(
                f"{kernel.name}: {counted(kernel.done, 'cell')} done" + (f" ({seconds})" if seconds else "")
            )
        else:
            self.note(f"{kernel.name}: {kernel.phase}")

    def finished(self, record: Record) -> None:
        """Prints a cell that ended badly; not if its kernel never booted, which is printed once."""
        if record.status not in _GOOD and record.attempts:
            self.note(_cell(record))

    def overview(self, overview: Overview) -> None:
        """Prints the overview if the last one is 30 seconds old."""
        if self._clock() >= self._next:
            self._next = self._clock() + _EVERY_SECONDS
            self.note(_progress(overview))

    def tick(self) -> None:
        """No-op: lines are printed as things happen."""


def display(console: Console) -> LiveDisplay | LineDisplay:
    """A live table for a terminal, lines for any other output."""
    return LiveDisplay(console) if console.is_terminal else LineDisplay(console)


def _progress(overview: Overview) -> str:
    """`412 of 1722 cells done, 61 changes found (3 not explained), about 6 minutes left`."""
    found = f"{counted(overview.changes, 'change')} found"
    if overview.unexplained:
        found += f" ({overview.unexplained} not explained)"
    parts = [f"{overview.done} of {counted(overview.cells, 'cell')} done", found]
    if overview.seconds_left is not None and overview.done < overview.cells:
        parts.append(f"about {about(overview.seconds_left)} left")
    return ", ".join(parts)


def about(seconds: float) -> str:
    """A duration that is only estimated: `20 seconds`, `6 minutes`, `2 hours`."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} seconds"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"


def _cell(record: Record) -> str:
    name = cell_label(record.experiment, variant_name(record.variant))
    return f"{record.kernel}: {name}: {record.status}" + (
        f": {headline(record.reason)}" if record.reason else ""
    )
