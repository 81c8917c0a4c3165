from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import tasks
from commands.__main__ import with_flags
from commands.collection import Tasks, by_name
from commands.shell import ROOT, tidy
from tests.support.caches import fill
from tests.support.nights import cell, manifest
from vms.cache import Cache


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "commands", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("words", [["--list"], ["--help"], ["experiments"]])
def test_a_reader_that_reads_no_further_ends_a_task_quietly(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "commands", *words],
            cwd=ROOT,
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("words", [["matrixx"], ["matrix", "--kernl", "6.1"], ["upgrade", "5.10"], ["--lst"]])
def test_a_command_line_that_cannot_be_read_is_wrong_use(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["matrix", "-k"], "-k needs a value: a kernel, for example 6.12"),
        (["matrix", "-k", "-e", "table-full"], "-k needs a value: a kernel"),
        (["matrix", "-k", "6.1", "--kernel"], "--kernel needs a value: a kernel"),
        (["matrix", "-k", ""], "--kernel is empty; give a kernel, for example 6.12"),
        (["matrix", "--kernel="], "--kernel is empty; give a kernel"),
        (["matrix", "-e", " "], "--experiment is empty; give a name or a glob"),
        (["matrix", "-j"], "-j needs a value: guests that compute at a time"),
        (["matrix", "-j", ""], "--jobs is empty; give guests that compute at a time"),
        (["matrix", "-j", "0"], "--jobs '0': give the number of guests that compute at a time, at least 1"),
        (["nightly", "-j", "0"], "--jobs '0': give the number of guests"),
        (["matrix", "--scheduler", ""], "--scheduler is empty; give "),
        (["matrix", "-k", "6.x"], "--kernel: expected a number"),
        (["history", ""], "--fact is empty; give the fact"),
        (["upgrade", "", "6.1"], "older is empty; give the kernel you have"),
        (["matirx"], "there is no task 'matirx'; did you mean matrix?"),
        (["doctor", "kvm"], "doctor takes no argument 'kvm', and there is no task 'kvm'"),
        (["matrix", "--kernl", "6.1"], "there is no flag --kernl; did you mean --kernel"),
    ],
)
def test_a_flag_without_a_usable_value_is_named_with_what_to_give(words: list[str], message: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_experiment_is_answered_with_the_nearest_names() -> None:
    done = run("matrix", "--offline", "-e", "sctp")
    assert done.returncode == 2
    assert "there is no experiment 'sctp'; did you mean sctp-" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stderr) < 200
    assert "`./invoke experiments` lists all 1" in run("matrix", "--offline", "-e", "q9x").stderr


def test_who_asks_for_help_is_shown_the_tasks_or_the_flags_of_one() -> None:
    assert run("help").stdout == run().stdout == run("--list").stdout
    assert run("help", "doctor").stdout == run("doctor", "--help").stdout


@pytest.mark.parametrize(
    ("task", "usage"),
    [
        ("doctor", "doctor [flags]"),
        ("history", "history [FACT] [flags]"),
        ("script", "script FILE [flags] [-- arguments]"),
        ("upgrade", "upgrade OLDER NEWER [flags]"),
    ],
)
def test_help_names_the_arguments_of_a_task(task: str, usage: str) -> None:
    lines = run(task, "--help").stdout.splitlines()
    assert lines[0] == f"Usage: ./invoke {usage}"
    assert not any("--older" in line or "--file" in line for line in lines)


@pytest.mark.parametrize("task", tasks.__all__)
def test_every_task_tells_its_flags(task: str) -> None:
    done = run(task, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: ./invoke {task}")
    told = "".join(done.stdout.split())  # lines are folded, and long words broken
    for argument in by_name(Tasks.from_module(tasks))[task].args.values():
        assert argument.help
        assert "".join(argument.help.split()) in told, argument.name
    assert done.stderr == ""


@pytest.mark.parametrize("form", ["tap", "csv", "parquet", "json"])
def test_a_run_with_cells_of_an_unknown_kernel_is_wrong_use(tmp_path: Path, form: str) -> None:
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(manifest(1, "6.1.5")))
    (tmp_path / "results.json").write_bytes(msgspec.json.encode([cell("6.1.6", flows=7)]))
    done = run("export", form, "--run", str(tmp_path))
    assert done.returncode == 2
    assert "cells of '6.1.6', a kernel that its manifest does not name" in done.stderr
    assert len(done.stderr.splitlines()) == 1


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
        capsys.readouterr().err == "cache exceeded 0.001 GB: removed 0.0 GB of least recently used entries\n"
    )
