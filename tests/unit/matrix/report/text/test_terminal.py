from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from matrix.analysis.ledger.model import Change, Commit, Confirmed, Ledger
from matrix.analysis.table import make_table
from matrix.report.text.terminal import (
    headline,
    print_failures,
    print_splats,
    print_table,
    print_unexplained,
    summary,
)
from matrix.results.record import Record, Status
from tests.support.sample import CATALOGUE, KERNELS, analysis, manifest, table

FIX = Commit("fix", "netfilter: fix it", Confirmed.SOURCE, "It is fixed.", mainline="7.0")
GOLDEN = Path(__file__).parent / "golden"


def printed(width: int, *, terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    print_table(table(), console)
    print_failures(table(), console)
    print_splats(table(), console)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def test_the_terminal_table_is_that_of_the_golden_file() -> None:
    assert printed(10_000) == (GOLDEN / "terminal.txt").read_text()


def test_a_narrow_terminal_gets_several_tables_and_loses_nothing() -> None:
    narrow = printed(80, terminal=True)
    assert max(map(len, narrow.split("\nfail ")[0].splitlines())) <= 80
    assert narrow.count("experiment ") == 2
    for kernel in ("5.10.251", "6.12.9", "6.12.10", "7.3~rc7"):
        assert kernel in narrow
    words = {
        word
        for line in printed(10_000).split("\nfail ")[0].splitlines()
        for word in line.split()
        if len(word) < 50
    }
    assert words <= set(narrow.split())


def test_in_a_pipe_a_long_value_does_not_pad_other_lines() -> None:
    long = "spread over " + "a great many ports " * 20
    found = [
        Record(kernel, "race", {}, Status.PASS, {"resolved": long if kernel == "6.12.10" else "none"})
        for kernel in KERNELS
    ]
    console = Console(file=io.StringIO(), width=10_000)
    print_table(make_table(manifest(), found, CATALOGUE), console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert sum(long.strip() in line for line in lines) == 1
    assert sorted(map(len, lines))[-2] < 200


def test_text_of_a_guest_is_escaped_on_the_terminal() -> None:
    for terminal in (True, False):
        text = printed(200, terminal=terminal)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert len(text) < 20_000


def test_each_unexplained_change_is_a_line() -> None:
    console = Console(file=io.StringIO(), width=40)
    entry = Change("table-full", FIX, "flows", before=1, after=2, variant={"frontend": "nft"})
    print_unexplained(analysis(Ledger({"fix": FIX}, (entry,), {"6.12": "6.12.10"})), console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[:2] == [
        "contradicted table-full [frontend=nft] flows: 6.12.10 -> 7.3~rc7",
        "unexplained table-full [frontend=nft] flow_states: 6.12.10 -> 7.3~rc7",
    ]
    assert lines[-2:] == [
        "unexplained iptables-legacy: 5.10.251 -> 6.12.9",
        "unexplained race: 6.12.10 -> 7.3~rc7",
    ]


def test_the_summary_counts() -> None:
    assert (
        summary(table())
        == "27 cells: 20 pass, 2 fail, 1 unsupported, 1 unstable, 1 crash, 1 timeout, 1 error; 1 with splats"
    )


def test_the_headline_of_a_traceback_is_its_error_however_many_lines_that_has() -> None:
    traceback = 'Traceback (most recent call last):\n  File "a.py", line 1, in run\n    run()\n    ~~~^^\n'
    error = "guest.errors.ToolFailed: nft: Error: Invalid argument\ntable ip t {\n  chain c {\n}\n}\n"
    assert headline(traceback + error) == "guest.errors.ToolFailed: nft: Error: Invalid argument"
    assert headline("nft: Error: Invalid argument\nmore") == "nft: Error: Invalid argument"
