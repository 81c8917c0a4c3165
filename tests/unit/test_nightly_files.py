"""The files that docs/nightly.md hands out: systemd accepts the units, the CI files are YAML whose
commands exist.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

import tasks
from tests.support.project import ROOT

FILES = ROOT / "docs" / "nightly"
UNITS = sorted(str(path) for path in FILES.glob("conntrack-matrix-nightly.*"))


def complaints(units: list[str], tmp_path: Path) -> str:
    """What systemd says to the units, as a user's and as the system's."""
    said = ""
    for manager in ("--user", "--system"):
        command = ["systemd-analyze", manager, "--man=no", "verify", *units]
        done = subprocess.run(
            command,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        said += done.stdout + done.stderr + ("" if done.returncode == 0 else f"status {done.returncode}")
    return said


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    assert len(UNITS) == 2
    assert complaints(UNITS, tmp_path) == ""


def test_systemd_reports_a_broken_unit(tmp_path: Path) -> None:
    broken = tmp_path / "broken.service"
    broken.write_text(Path(UNITS[0]).read_text().replace("oneshot", "once").replace("Nice=", "Nicer="))
    assert re.search(r"broken\.service:\d+: Failed to parse .*once", complaints([str(broken)], tmp_path))


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml"])
def test_ci_files_run_tasks_that_exist(name: str) -> None:
    content = yaml.safe_load((FILES / name).read_text())
    commands = [match for text in strings(content) for match in re.findall(r"\./invoke (\S+)", text)]
    assert "nightly" in commands
    assert set(commands) <= set(tasks.__all__)


@pytest.mark.parametrize("code", [0, 1])
def test_the_jobs_summary_is_fenced_and_the_exit_code_is_that_of_the_night(tmp_path: Path, code: int) -> None:
    steps = yaml.safe_load((FILES / "github-actions.yml").read_text())["jobs"]["nightly"]["steps"]
    (script,) = [step["run"] for step in steps if step.get("name") == "nightly"]
    said = "conntrack-matrix: nothing unexpected\n  crash: ![](https://evil.example/x.png) @octocat"
    (tmp_path / "invoke").write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\nexit {code}\n")
    (tmp_path / "invoke").chmod(0o755)
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")},
        check=False,
    )
    assert done.returncode == code
    assert (tmp_path / "summary").read_text() == f"```\n{said}\n```\n"


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_docs_nightly_names_every_file_for_cron_and_ci() -> None:
    page = (ROOT / "docs" / "nightly.md").read_text()
    assert all(path.name in page for path in FILES.iterdir())
