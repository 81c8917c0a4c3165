"""`ci` with the environment that GitHub and GitLab document, and the files that they are given."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from invoke.context import Context

import tasks
from commands import ci
from commands.ci import cache_key, chosen_task, report
from tests.support.house import House, open_house
from tests.support.project import ROOT
from vms.errors import UsageError

ACTION = yaml.safe_load((ROOT / "ci" / "action.yml").read_text())
COMPONENT, JOB = yaml.safe_load_all((ROOT / "templates" / "conntrack-matrix.yml").read_text())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without anything, in which the task runs."""
    for name, path in (("ROOT", tmp_path), ("RESULTS", tmp_path / "results")):
        monkeypatch.setattr(f"commands.ci.{name}", path)
    monkeypatch.setattr("commands.ci.BASELINE", tmp_path / "matrix.baseline.json")
    return tmp_path


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return open_house(tmp_path / "results", monkeypatch)


@pytest.fixture
def run(house: House, place: Path) -> Path:
    """A night with a change that is not explained."""
    house.night(0)
    house.accept()
    house.kernels.append("6.12.10")
    house.says = lambda kernel, _: {"flows": 7, "drops": 9 if kernel == "6.12.10" else 3}
    return house.results / house.night(1).run


def test_the_variables_say_what_is_run(place: Path) -> None:
    assert chosen_task({}) == ["matrix"]
    asked = {"MATRIX_KERNELS": "6.1\n6.12 \n", "MATRIX_EXPERIMENTS": "table-full[scope=root]"}
    assert chosen_task(asked) == [
        "matrix",
        "--kernel=6.1",
        "--kernel=6.12",
        "--experiment=table-full[scope=root]",
    ]
    (place / "accepted.json").write_text("{}")
    assert chosen_task({"MATRIX_BASELINE": "accepted.json", "MATRIX_KERNELS": "6.1"}) == [
        "nightly",
        "--kernel=6.1",
    ]
    assert (place / "matrix.baseline.json").read_text() == "{}"
    with pytest.raises(UsageError, match="MATRIX_BASELINE: there is no file"):
        chosen_task({"MATRIX_BASELINE": "nothing.json"})


def test_own_experiments_are_named_in_a_matrix_toml_unless_there_is_one(place: Path) -> None:
    ci._adopt("")
    assert not (place / "matrix.toml").exists()
    (place / "mine").mkdir()
    ci._adopt("mine")
    assert '\nown_experiments = "mine"\n' in (place / "matrix.toml").read_text()
    with pytest.raises(UsageError, match="name the directory there"):
        ci._adopt("mine")


def test_the_key_of_a_cache_is_that_of_what_is_asked(place: Path) -> None:
    first = cache_key({"MATRIX_KERNELS": "6.1"})
    assert re.fullmatch(r"conntrack-matrix-1-\w+-[0-9a-f]{16}", first)
    assert cache_key({"MATRIX_KERNELS": "6.1", "GITHUB_RUN_ID": "2"}) == first
    assert cache_key({"MATRIX_KERNELS": "6.12"}) != first
    (place / "matrix.toml").write_text("kernels = []\n")
    assert cache_key({"MATRIX_KERNELS": "6.1"}) != first


def test_github_gets_a_summary_annotations_and_outputs(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: str(tmp_path / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    report(run, {"GITHUB_ACTIONS": "true", **files})
    assert capsys.readouterr().out == (
        "::error title=unexplained change%3A table-full drops::"
        "unexplained: 6.12.9 -> 6.12.10: table-full: drops 3 -> 9\n"
    )
    summary = (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    assert summary.startswith("### conntrack-matrix 2026-11-02: 1 unexplained change\n")
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == (
        f"run={run.name}\npage=results/{run.name}/report/index.html\n"
    )


def test_gitlab_gets_a_report_of_annotations(run: Path, place: Path) -> None:
    report(run, {"GITLAB_CI": "true", "CI_JOB_URL": "https://gitlab.example/job/1"})
    text = (place / "conntrack-matrix-annotations.json").read_text()
    assert f"https://gitlab.example/job/1/artifacts/file/results/{run.name}/report/index.html" in text
    assert "drops 3 -> 9" in text


def test_elsewhere_nothing_is_reported(run: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(run, {})
    assert "this is no job of GitHub Actions or GitLab CI" in capsys.readouterr().err
    assert not (place / "conntrack-matrix-annotations.json").exists()


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_exit_code_is_that_of_the_run_and_its_output_commands_no_runner(
    place: Path, code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "commands.py").write_text(f"print('::error::evil')\nraise SystemExit({code})\n")
    monkeypatch.setattr("commands.ci.CODE", place)
    monkeypatch.chdir(place)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", str(place / "output"))
    with pytest.raises(SystemExit) as ended:
        tasks.ci(Context())
    assert ended.value.code == code
    stop, evil, resume = capfd.readouterr().out.splitlines()
    assert re.fullmatch("::stop-commands::[0-9a-f]{32}", stop)
    assert evil == "::error::evil"
    assert resume == f"::{stop.rpartition('::')[2]}::"
    assert (place / "output").read_text() == f"exit-code={code}\n"


def scripts() -> list[str]:
    return [step["run"] for step in ACTION["runs"]["steps"] if "run" in step]


def test_the_action_hands_inputs_over_in_the_environment_only() -> None:
    assert not [script for script in scripts() if "inputs." in script or "${{" in script]
    given = {
        value
        for step in ACTION["runs"]["steps"]
        for name, value in step.get("env", {}).items()
        if name.startswith("MATRIX_")
    }
    used = {name for value in given for name in re.findall(r"inputs\.([\w-]+)", value)}
    assert used | {"cache"} == set(ACTION["inputs"])


@pytest.mark.parametrize("script", [*scripts(), *JOB["conntrack-matrix"]["before_script"]])
def test_scripts_are_bash_that_can_be_read(script: str) -> None:
    subprocess.run(["bash", "-n", "-c", script], check=True)


def test_the_files_run_tasks_that_exist_and_what_they_name_is_there() -> None:
    texts = [*scripts(), *JOB["conntrack-matrix"]["script"], *JOB["conntrack-matrix"]["after_script"]]
    named = [word for text in texts for word in re.findall(r"bin/conntrack-matrix\"? (\w+)", text)]
    assert set(named) == {"ci", "prune"}
    assert os.access(ROOT / "ci" / "install", os.X_OK)
    inputs = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "templates" / "conntrack-matrix.yml").read_text()))
    assert inputs == set(COMPONENT["spec"]["inputs"])


def test_a_module_of_the_job_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "matrix.py").write_text("raise SystemExit('the module of the job')\n")
    monkeypatch.chdir(tmp_path)
    assert ci._run(["experiments"]) == 0
    assert "baseline" in capfd.readouterr().out


def test_another_system_is_told_that_a_debian_is_needed(tmp_path: Path) -> None:
    script = (ROOT / "ci" / "install").read_text().replace("/etc/os-release", str(tmp_path / "os-release"))
    (tmp_path / "os-release").write_text("ID=ubuntu\n")
    (tmp_path / "install").write_text(script)
    done = subprocess.run(
        ["bash", tmp_path / "install", tmp_path / "venv", "."], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "debian:trixie" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("dpkg-query"), reason="needs root on Debian")
def test_what_is_installed_for_a_job_runs_there(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([ROOT / "ci" / "install", venv, ROOT], check=True)
    done = subprocess.run(
        [venv / "bin" / "conntrack-matrix", "ci", "--key"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("conntrack-matrix-1-")
