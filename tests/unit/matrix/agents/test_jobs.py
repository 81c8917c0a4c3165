from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from matrix.agents import requests
from matrix.agents.ask import ask, look
from matrix.agents.jobs import AT_A_TIME, Jobs
from matrix.agents.reading import Reader
from matrix.results.record import Record, Status
from tests.support.project import ROOT
from vms.errors import UsageError

PATIENCE = 300
"""Seconds for each step, however busy the machine is."""
ANSWER = msgspec.json.encode(
    [Record("6.12.3", "max-zero", {}, Status.PASS, {"written": 1, "words": "\x1b[31m"})]
).decode()
HANGS = """
    import pathlib, time
    pathlib.Path("pid").write_text(str(os.getpid()))
    print("booting", file=sys.stderr, flush=True)
    time.sleep(3600)
"""


@contextmanager
def running(place: Path, program: str, seconds: float = PATIENCE) -> Iterator[Jobs]:
    """Jobs that are this Python program in the directory."""
    text = "import os, sys\n" + textwrap.dedent(program)
    jobs = Jobs([sys.executable, "-c", text], {"ASKED": "yes"}, place, seconds)
    try:
        yield jobs
    finally:
        jobs.close()


def finished(jobs: Jobs, number: int) -> requests.Job:
    jobs.find(number).ended.wait(PATIENCE)
    return requests.Job(number)


def test_a_job_runs_a_matrix_of_one_kernel_and_one_experiment_and_tells_the_answer(tmp_path: Path) -> None:
    program = f"""
        print("booting\\x1b[2J", file=sys.stderr)
        print(sys.argv[1:], os.environ["ASKED"], os.getcwd(), file=sys.stderr)
        print({ANSWER!r})
    """
    with running(tmp_path, program) as jobs:
        begun = ask(Reader(ROOT, tmp_path), jobs, requests.Ask("6.12", "max-zero"))
        assert (begun.job, begun.kernel, begun.experiment, begun.state) == (1, "6.12", "max-zero", "running")
        told = look(jobs, finished(jobs, 1))
    assert told.state == "done"
    assert told.messages == (
        "booting␛[2J",
        f"['matrix', '--kernel=6.12', '--experiment=max-zero', '--json'] yes {tmp_path}",
    )
    assert told.cells
    (cell,) = told.cells.items
    assert (cell.status, cell.facts) == ("pass", {"written": "1", "words": "␛[31m"})


@pytest.mark.parametrize(("code", "state"), [(0, "done"), (1, "done"), (2, "failed"), (3, "failed")])
def test_a_kernel_that_failed_has_answered_and_a_tool_that_failed_has_not(
    code: int, state: str, tmp_path: Path
) -> None:
    with running(tmp_path, f"print({ANSWER!r}); sys.exit({code})") as jobs:
        jobs.start("6.12", "max-zero")
        assert look(jobs, finished(jobs, 1)).state == state


@pytest.mark.parametrize("printed", ["", "[{", '{"a": 1}'])
def test_an_answer_that_cannot_be_read_is_a_failure(printed: str, tmp_path: Path) -> None:
    with running(tmp_path, f"sys.stdout.write({printed!r})") as jobs:
        jobs.start("6.12", "max-zero")
        told = look(jobs, finished(jobs, 1))
    assert (told.state, told.cells) == ("failed", None)


def test_only_the_last_messages_are_kept_and_each_is_bounded(tmp_path: Path) -> None:
    program = """
        for number in range(1000):
            print(number, "x" * 3000, file=sys.stderr)
    """
    with running(tmp_path, program) as jobs:
        jobs.start("6.12", "max-zero")
        told = look(jobs, finished(jobs, 1))
    assert len(told.messages) == 8
    assert max(map(len, told.messages)) < 1_100


def test_a_job_whose_time_is_up_is_ended(tmp_path: Path) -> None:
    with running(tmp_path, HANGS, seconds=1) as jobs:
        jobs.start("6.12", "max-zero")
        assert look(jobs, finished(jobs, 1)).state == "late"


def test_as_many_jobs_run_as_may_and_the_next_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, HANGS) as jobs:
        for _ in range(AT_A_TIME):
            jobs.start("6.12", "max-zero")
        with pytest.raises(
            UsageError, match=r"2 jobs are running, which is as many as may: wait for one of 1, 2"
        ):
            jobs.start("6.12", "max-zero")


def test_the_jobs_end_with_the_server(tmp_path: Path) -> None:
    with running(tmp_path, HANGS) as jobs:
        job = jobs.start("6.12", "max-zero")
        while not job.messages:
            assert not job.ended.wait(0.05), job
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, 0)
    assert job.ended.is_set()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(UsageError):
        jobs.start("6.12", "max-zero")
