from __future__ import annotations

import subprocess
import sys

import pytest

from commands.__main__ import with_flags
from commands.running import _meant
from commands.shell import ROOT
from tests.unit.matrix.fakes import make_kernel
from vms.kernels import Catalogue


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "commands", *words], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [["matrixx"], ["matrix", "--kernl", "6.1"], ["upgrade", "5.10"], ["--lst"]])
def test_a_command_line_that_cannot_be_read_is_wrong_use(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_spec_that_means_nothing_any_more_is_no_newer_kernel() -> None:
    builds = Catalogue((make_kernel("6.12.116"), make_kernel("6.12.118")))
    assert [kernel.release for kernel in _meant(["6.12.10", "6.12", "no such spec"], builds)] == ["6.12.118"]


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
