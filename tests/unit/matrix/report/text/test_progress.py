from __future__ import annotations

import io

from rich.console import Console

from matrix.report.text.progress import LineDisplay, LiveDisplay, display
from matrix.results.record import Record, Status
from matrix.run.progress import KernelProgress, Overview, Phase


def shown(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None)
    kernel = KernelProgress("6.1.2", 2)
    with display(console) as going:
        assert isinstance(going, LiveDisplay if terminal else LineDisplay)
        going.note("accelerator: tcg")
        for phase in (Phase.FETCHING, Phase.BOOTING, Phase.RUNNING):
            kernel.enter(phase)
            going.changed(kernel)
            going.tick()
        kernel.done, kernel.statuses[Status.PASS] = 1, 1
        going.finished(Record("6.1.2", "good", {}, Status.PASS))
        going.finished(
            Record("6.1.2", "bad", {"scope": "user"}, Status.FAIL, reason="does not hold:\x1b[31m x")
        )
        kernel.enter(Phase.DONE)
        going.changed(kernel)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_in_a_pipe_each_step_is_a_line() -> None:
    lines = shown(terminal=False).splitlines()
    assert lines[:4] == ["accelerator: tcg", "6.1.2: fetching", "6.1.2: booting", "6.1.2: running"]
    assert lines[4] == "6.1.2: bad [scope=user]: fail: does not hold:␛[31m x"
    assert lines[5].startswith("6.1.2: 1 cell done (waiting 0.0 s, fetching 0.0 s")


def test_on_a_terminal_the_table_stays_as_it_was_at_the_end() -> None:
    drawn = [line.replace("\x1b[2K", "") for line in shown(terminal=True).splitlines() if "6.1.2  " in line]
    assert drawn[-1].split()[:3] == ["6.1.2", "done", "1/2"]


def test_cells_that_never_ran_are_printed_once_with_their_kernel() -> None:
    console = Console(file=io.StringIO(), width=100)
    going = LineDisplay(console)
    kernel = KernelProgress("6.1.2", 2, message="could not fetch 6.1.2: 404")
    going.finished(Record("6.1.2", "x", {}, Status.ERROR, reason="could not fetch 6.1.2: 404", attempts=0))
    kernel.enter(Phase.FAILED)
    going.changed(kernel)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "6.1.2: could not fetch 6.1.2: 404\n"


def test_in_a_pipe_a_line_every_thirty_seconds_says_how_far_the_run_is() -> None:
    console, now = Console(file=io.StringIO(), width=200), 0.0
    going = LineDisplay(console, lambda: now)
    for now in range(0, 91, 5):
        left = 400.0 if now < 60 else 50.0
        going.overview(Overview(now, 1722, left, changes=now // 30, unexplained=now // 60))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "30 of 1722 cells done, 1 change found, about 7 minutes left",
        "60 of 1722 cells done, 2 changes found (1 not explained), about 50 seconds left",
        "90 of 1722 cells done, 3 changes found (1 not explained), about 50 seconds left",
    ]


def test_on_a_terminal_the_newest_changes_and_the_overview_are_below_the_table() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    with LiveDisplay(console) as going:
        going.overview(Overview(6, 6, newest=("5.10.1 -> 6.1.2: baseline: flows (unexplained)",)))
    assert isinstance(console.file, io.StringIO)
    lines = [line.replace("\x1b[2K", "").strip() for line in console.file.getvalue().splitlines()]
    place = lines.index("5.10.1 -> 6.1.2: baseline: flows (unexplained)")
    assert lines[place + 1] == "6 of 6 cells done, 0 changes found"
