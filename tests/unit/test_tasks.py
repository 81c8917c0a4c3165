from __future__ import annotations

import contextlib
import json
import os
import pty
import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context

import tasks
from bench.figure import Figure
from commands.project import chosen_checks
from commands.shell import ROOT, reported
from vms.capacity import processors
from vms.errors import FetchError, LostGuest, UsageError

HEAVY = ("altair", "distributed", "sqlalchemy", "scapy", "pyarrow", "paramiko", "rich", "jinja2", "qemu")


def ended(body: Callable[[], int | None]) -> int:
    with pytest.raises(SystemExit) as caught:
        reported(body)()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def raising(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


@pytest.mark.parametrize("name", tasks.__all__)
def test_a_task_is_described_by_one_whole_line_which_the_list_shows(name: str) -> None:
    first = (getattr(tasks, name).__doc__ or "").splitlines()[0]
    assert first.endswith(".")
    assert len(first) < 100


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no kernel 4.2"), 2),
        (FetchError("404"), 3),
        (LostGuest("gone"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_one_message_and_an_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.shell.end_soon", lambda: None)
    assert ended(raising(error)) == code
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert (str(error) or "interrupted") in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("6.1\x1b[31m"), "error: KeyError: '6.1\\x1b[31m'; this is a bug; its traceback is in "),
        (
            ValueError("\x1b[31m\uffff"),
            "error: ValueError: ␛[31m<U+FFFF>; this is a bug; its traceback is in ",
        ),
        (OSError(24, "Too many open files", "/x"), "error: Too many open files: /x; its traceback is in "),
        (OSError(36, "File name too long", "x" * 9_999), "error: File name too long: xxx"),
    ],
)
def test_an_unforeseen_error_is_one_message_that_names_a_file_with_its_traceback(
    error: Exception,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("commands.shell.TRACEBACK", tmp_path / "results" / "traceback.txt")
    assert ended(raising(error)) == 3
    shown = capsys.readouterr().err
    assert shown.startswith(said)
    assert shown.endswith(f"its traceback is in {tmp_path}/results/traceback.txt\n")
    assert len(shown.splitlines()) == 1
    assert len(shown) < 600
    written = (tmp_path / "results" / "traceback.txt").read_text()
    assert written.startswith("Traceback (most recent call last):\n")
    assert "\x1b" not in written


def test_with_too_many_open_files_there_is_a_message_and_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.shell.TRACEBACK", tmp_path / "traceback.txt")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def body() -> int:
        with contextlib.ExitStack() as held:
            while True:
                held.enter_context(Path(os.devnull).open())

    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        assert ended(body) == 3
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Too many open files" in capsys.readouterr().err
    assert "held.enter_context" in (tmp_path / "traceback.txt").read_text()


def test_a_traceback_that_cannot_be_written_hides_no_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("commands.shell.TRACEBACK", tmp_path / "file" / "traceback.txt")
    assert ended(raising(KeyError("6.1"))) == 3
    said = "error: KeyError: '6.1'; this is a bug; its traceback cannot be written: "
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(("stuck", "given", "cleaned"), [(0.0, 600.0, "cleaned up"), (600.0, 1.0, "")])
@pytest.mark.fault(phase="cell", fault="tool interrupted", outcome="the process ends within a second")
def test_an_interrupt_ends_the_process_and_cleans_up_unless_a_thread_is_stuck(
    stuck: float, given: float, cleaned: str
) -> None:
    program = textwrap.dedent(f"""
        import atexit, threading, time
        from concurrent.futures import ThreadPoolExecutor
        from commands import shell
        from commands.shell import reported

        shell._END_SECONDS = {given}
        atexit.register(print, "cleaned up", flush=True)
        ThreadPoolExecutor(1).submit(time.sleep, {stuck})
        def body():
            raise KeyboardInterrupt
        reported(body)()
        """)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 130
    assert done.stdout.strip() == cleaned


def test_the_exit_code_is_the_tasks_own_though_its_terminal_hung_up() -> None:
    program = textwrap.dedent("""
        import sys
        from commands.shell import reported

        @reported
        def task():
            print("half a line", end="")
            sys.stdin.read()  # until the terminal is gone
            raise KeyboardInterrupt

        task()
        """)
    mine, its = pty.openpty()
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=buffered,
        stdin=subprocess.PIPE,
        stdout=its,
        stderr=its,
    ) as process:
        os.close(its)
        os.close(mine)
        assert process.stdin
        process.stdin.close()
        assert process.wait(300) == 130


@pytest.mark.parametrize(("given", "code"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_what_a_task_returns_is_its_exit_code(given: int | None, code: int) -> None:
    assert ended(lambda: given) == code


def test_listing_the_tasks_imports_nothing_heavy() -> None:
    program = f"import sys, tasks; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_rebuild_of_the_history_ends_with_2_only_if_a_run_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.reading.RESULTS", tmp_path)
    rebuild = partial(tasks.history, Context(), rebuild=True, database=f"sqlite:///{tmp_path}/history")
    with pytest.raises(SystemExit) as ended_well:
        rebuild()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    with pytest.raises(SystemExit) as ended_with_one_left_out:
        rebuild()
    assert (ended_well.value.code, ended_with_one_left_out.value.code) == (0, 2)
    assert "left out: " in capsys.readouterr().err


def matrix(capsys: pytest.CaptureFixture[str], **flags: Any) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        tasks.matrix(Context(), **{"kernel": [], "experiment": [], **flags})
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err


def test_workers_have_no_userland_of_this_host(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = matrix(capsys, backend="virtme", scheduler="tls://127.0.0.1:8786")
    assert code == 2
    assert "--scheduler with --backend virtme: the userland of such guests is this host's" in said


def test_an_unknown_experiment_is_refused_before_anything_is_fetched(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, said = matrix(capsys, experiment=["tabel-full"])
    assert code == 2
    assert "did you mean table-full?" in said


def test_a_wrong_matrix_toml_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "matrix.toml").write_text("kernels = 6.1\n")
    monkeypatch.setattr("commands.running.ROOT", tmp_path)
    code, said = matrix(capsys)
    assert code == 2
    assert "matrix.toml, line 1, `kernels`: expected `array`, got `float`" in said


@pytest.mark.parametrize("jobs", ["-1", "0", "x", "1.5"])
def test_jobs_that_are_no_number_of_at_least_one_are_refused(
    capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    code, said = matrix(capsys, jobs=jobs)
    assert code == 2
    assert f"--jobs {jobs!r}: give the number of guests" in said


def test_jobs_are_for_workers_to_say_where_there_are_some(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = matrix(capsys, jobs="2", scheduler="tcp://127.0.0.1:8786")
    assert code == 2
    assert "--slots" in said


def worker(capsys: pytest.CaptureFixture[str], scheduler: str, **flags: Any) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        tasks.worker(Context(), scheduler, **flags)
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err


def test_a_worker_needs_an_address_and_at_least_one_slot(capsys: pytest.CaptureFixture[str]) -> None:
    for address, flags, part in (
        ("10.0.0.1", {}, "write tls://host:8786"),
        ("tcp://10.0.0.1:8786", {"slots": "0"}, "--slots '0'"),
    ):
        code, said = worker(capsys, address, **flags)
        assert code == 2
        assert part in said


def bench(capsys: pytest.CaptureFixture[str], **flags: Any) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        tasks.bench(Context(), **{"name": [], **flags})
    assert isinstance(caught.value.code, int)
    return caught.value.code, *capsys.readouterr()


def test_a_measurement_that_fails_does_not_keep_the_others_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(name: str) -> list[Figure]:
        if name == "cells":
            raise LostGuest("gone")
        return [Figure("rate", 2.5, "cells/s", "cells in a second")]

    monkeypatch.setattr("bench.figure.measure", measure)
    code, shown, said = bench(capsys, name=["cells", "scaling"], json=str(tmp_path / "figures.json"))
    assert code == 3
    assert "cells: gone" in said
    assert "2.5 cells/s" in shown
    assert json.loads((tmp_path / "figures.json").read_text())["scaling"]["rate"] == 2.5


def test_an_unknown_measurement_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = bench(capsys, name=["cell"])
    assert code == 2
    assert "no measurement is called 'cell'" in said


def test_an_offline_run_without_lists_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code, said = matrix(capsys, offline=True)
    assert code == 3
    assert "--offline" in said


def test_all_checks_end_with_pytest_so_that_its_summary_is_the_last_line() -> None:
    shared = ("-n", str(processors()), "--dist", "loadfile", "--no-loadscope-reorder")
    assert chosen_checks([], None)[-1] == ("pytest", *shared)


def test_tests_are_chosen_by_kind_and_name() -> None:
    beside = ("-n", str(processors() + 1), "--dist", "worksteal")
    assert chosen_checks(["unit"], None) == (("pytest", *beside, "tests/unit", "-m", "(not slow)"),)
    shared = ("-n", str(processors()), "--dist", "loadfile", "--no-loadscope-reorder")
    assert chosen_checks(["guest"], None) == (("pytest", *shared, "tests/guest", "-m", "(guest)"),)
    assert chosen_checks(["browser", "slow", "unit"], "deadline") == (
        (
            *("pytest", "tests/unit", "tests/browser"),
            *("-m", "(not slow) or (slow) or (browser)", "-k", "deadline"),
        ),
    )
    assert chosen_checks([], "deadline") == (("pytest", "-k", "deadline"),)


@pytest.mark.parametrize(
    ("only", "name", "said"),
    [
        (["units"], None, "--only 'units': there is no such kind of test; did you mean unit"),
        ([""], None, "--only '': there is no such kind of test; there are unit, slow, guest, browser"),
        ([], "", "-k: give a part of a test's name"),
    ],
)
def test_a_choice_of_tests_that_means_nothing_is_wrong_use(
    only: list[str], name: str | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        chosen_checks(only, name)
