from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from commands.__main__ import with_flags
from commands.shell import ROOT, tidy
from tests.support.caches import fill
from vms.cache import Cache


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "commands", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


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


def test_a_run_ends_with_a_cache_within_its_bound_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = Cache.default().root
    fill(root, "templates", "old", 3_000_000, 200)
    fill(root, "kernels", "older", 3_000_000, 300)
    tidy(10_000_000)
    assert (root / "templates/old").is_dir()
    assert not capsys.readouterr().err
    tidy(1_000_000)
    assert not (root / "templates/old").exists()
    assert (root / "kernels/older").is_dir()
    assert (
        capsys.readouterr().err
        == "the cache held more than 0.001 GB: removed 0.0 GB that was used longest ago\n"
    )
