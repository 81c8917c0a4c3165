from __future__ import annotations

import subprocess
import sys

import pytest

from commands.__main__ import with_flags
from commands.shell import ROOT


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "commands", *words], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [["matrixx"], ["matrix", "--kernl", "6.1"], ["upgrade", "5.10"], ["--lst"]])
def test_a_command_line_that_cannot_be_read_is_wrong_use(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_the_tasks_are_listed() -> None:
    assert "matrix" in run("--list").stdout


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("history", "history"),
        ("history flows", "history --fact flows"),
        ("history --json", "history --json"),
        ("bench cells packets --json out", "bench --name cells --name packets --json out"),
        ("matrix -k 6.1", "matrix -k 6.1"),
    ],
)
def test_positional_arguments_may_be_left_out(words: str, meant: str) -> None:
    assert with_flags(words.split()) == meant.split()
