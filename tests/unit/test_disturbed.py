"""A run that is ended in any phase, by any signal, and the same command again: what was done is
kept, what is missing is asked, and the facts are those of a run that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from matrix.history.database import database_url
from matrix.history.rebuild import rebuild
from matrix.results.latest import read_finished
from tests.support import disturbed
from tests.support.history_runs import opened
from tests.support.project import ROOT

pytestmark = pytest.mark.slow  # three processes each

INTERRUPTED = 130
ASKED_BEFORE = {"download": 0, "boot": 0, "cell": 2, "cell's files": 2, "manifest": 0, "report": 6}
"""How many cells are done when the run is ended there."""


def start(results: Path, where: str = "", *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command, sys.executable, "-m", disturbed.__name__, str(results), where],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the run said; `asked` has each cell once, in the order of the first time."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    said: dict[str, Any] = json.loads(output.splitlines()[-1])
    # What is not known yet counts from a guest of its own only, so most cells are asked twice.
    said["asked"] = list(dict.fromkeys(map(tuple, said["asked"])))
    return said


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run says that nobody disturbed."""
    return ended(start(tmp_path_factory.mktemp("undisturbed")))


def disturb(results: Path, where: str, number: int) -> None:
    with start(results, where) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "there\n"
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == INTERRUPTED
        assert said == "interrupted; what was finished is kept, and the same command does the rest\n"


def leftovers(results: Path) -> list[Path]:
    return [path for path in results.rglob(".*")]


@pytest.mark.fault(phase="download", fault="tool interrupted", outcome="the next run asks every cell")
@pytest.mark.fault(phase="download", fault="tool killed", outcome="the next run asks every cell")
@pytest.mark.fault(phase="boot", fault="tool interrupted", outcome="the next run asks every cell")
@pytest.mark.fault(phase="boot", fault="tool killed", outcome="the next run asks every cell")
@pytest.mark.fault(
    phase="cell", fault="tool interrupted", outcome="the next run asks what is missing, with the same facts"
)
@pytest.mark.fault(
    phase="cell", fault="tool killed", outcome="the next run asks what is missing, with the same facts"
)
@pytest.mark.fault(
    phase="results",
    fault="tool interrupted",
    outcome="no half file is left; the next run does the rest",
)
@pytest.mark.fault(
    phase="results",
    fault="tool killed",
    outcome="the next run removes half-written files, and asks or writes what is missing",
)
@pytest.mark.parametrize("where", ASKED_BEFORE)
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name
)
def test_a_run_that_is_ended_anywhere_is_completed_by_the_same_command(
    tmp_path: Path, undisturbed: dict[str, Any], where: str, number: int
) -> None:
    disturb(tmp_path, where, number)
    if number != signal.SIGKILL:
        assert leftovers(tmp_path) == []
    said = ended(start(tmp_path))
    assert said["facts"] == undisturbed["facts"]
    assert said["asked"] == undisturbed["asked"][ASKED_BEFORE[where] :]
    assert leftovers(tmp_path) == []
    assert [path.parent.name for path in tmp_path.glob("[!l]*/manifest.json")] == [said["run"]]
    assert read_finished(tmp_path / said["run"])[0].finished


@pytest.mark.fault(
    phase="history", fault="tool interrupted", outcome="the run is kept, and a rebuild records it"
)
@pytest.mark.fault(phase="history", fault="tool killed", outcome="the run is kept, and a rebuild records it")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_run_that_is_ended_while_it_is_recorded_is_kept(tmp_path: Path, number: int) -> None:
    disturb(tmp_path, "history", number)
    url = database_url("", tmp_path)
    with opened(url) as engine, engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM run").scalar() == 0
    assert rebuild(url, tmp_path).runs == 1
    with opened(url) as engine, engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM entry").scalar() == len(disturbed.PLAN.cells)


@pytest.mark.fault(
    phase="results", fault="two at once", outcome="each writes a run of its own, with the same facts"
)
@pytest.mark.fault(phase="history", fault="two at once", outcome="both runs are recorded")
def test_runs_at_once_in_one_results_directory_and_history(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    said = [ended(process) for process in [start(tmp_path) for _ in range(3)]]
    assert [one["facts"] for one in said] == [undisturbed["facts"]] * 3
    assert sorted(len(one["asked"]) for one in said) == [6, 6, 6]
    assert len({one["run"] for one in said}) == 3
    assert leftovers(tmp_path) == []
    with opened(database_url("", tmp_path)) as engine, engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM run").scalar() == 3
