"""The task for a job of GitHub Actions or GitLab CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from commands.shell import BASELINE, RESULTS, ROOT, complain, reported
from vms.program import CODE

# Each task imports what it needs, so that listing the tasks does not load every library.

KERNELS, EXPERIMENTS = "MATRIX_KERNELS", "MATRIX_EXPERIMENTS"
OWN, ACCEPTED = "MATRIX_OWN_EXPERIMENTS", "MATRIX_BASELINE"
_REPORT = "conntrack-matrix-annotations.json"
_TOKEN_BYTES = 16


@task(help={"key": "print the key of the job's cache and run nothing"})
@reported
def ci(_context: Context, key: bool = False) -> int:
    """Run a matrix, or with a baseline a night, in a CI job and report it there.

    The variables MATRIX_KERNELS, MATRIX_EXPERIMENTS, MATRIX_OWN_EXPERIMENTS and MATRIX_BASELINE
    say what to run.
    """
    if key:
        print(cache_key(os.environ))
        return 0
    _adopt(os.environ.get(OWN, ""))
    words = chosen_task(os.environ)
    before = _newest()
    code = _run(words)
    _append(os.environ, "GITHUB_OUTPUT", f"exit-code={code}\n")
    if (newest := _newest()) and newest != before:
        report(newest[0], os.environ)
    return code


def cache_key(environment: Mapping[str, str]) -> str:
    """The key of a CI's cache: the same for jobs that ask the same kernels of the same machine.

    What is in the cache is checked whenever it is used, so that one of another key is good, too.
    """
    import hashlib
    import platform

    from matrix.plan.config import config_of

    asked = f"{environment.get(KERNELS, '')}\n".encode() + config_of(ROOT).read_bytes()
    return f"conntrack-matrix-1-{platform.machine()}-{hashlib.sha256(asked).hexdigest()[:16]}"


def chosen_task(environment: Mapping[str, str]) -> list[str]:
    """The task and flags that the variables ask for. Raises UsageError for a baseline that is not
    there.
    """
    from vms.errors import UsageError

    words = ["matrix"]
    if baseline := environment.get(ACCEPTED, "").strip():
        path = (ROOT / baseline).resolve()
        if not path.is_file():
            raise UsageError(f"{ACCEPTED}: there is no file {path}")
        if path != BASELINE.resolve():
            shutil.copyfile(path, BASELINE)
        words = ["nightly"]
    for name, flag in ((KERNELS, "--kernel"), (EXPERIMENTS, "--experiment")):
        words += [f"{flag}={one}" for one in environment.get(name, "").split()]
    return words


def _adopt(own: str) -> None:
    """Makes the directory of the user's own experiments known, if one is given."""
    from matrix.plan.config import config_of
    from matrix.plan.project import name_own_directory
    from vms.errors import UsageError

    if not own.strip():
        return
    if config_of(ROOT).parent == ROOT:
        raise UsageError(f"{OWN}: {ROOT / 'matrix.toml'} exists; name the directory there instead")
    name_own_directory(ROOT, own.strip())


def _newest() -> tuple[Path, int] | None:
    """The newest run's directory, and when its manifest was last written."""
    manifest = RESULTS / "latest" / "manifest.json"
    return (manifest.resolve().parent, manifest.stat().st_mtime_ns) if manifest.exists() else None


def _run(words: list[str]) -> int:
    """Runs the task; what it prints, which may quote a guest, commands no runner of GitHub."""
    import secrets

    token = secrets.token_hex(_TOKEN_BYTES) if os.environ.get("GITHUB_ACTIONS") == "true" else ""
    if token:
        print(f"::stop-commands::{token}", flush=True)
    environment = {**os.environ, "PYTHONPATH": str(CODE)}
    # -P: no module of the directory in which it runs is taken for ours.
    program = [sys.executable, "-P", "-m", "commands", *words]
    code = subprocess.run(program, env=environment, check=False).returncode
    if token:
        print(f"::{token}::", flush=True)
    return code


def report(run: Path, environment: Mapping[str, str]) -> None:
    """Reports a run to the CI that the environment is of: to GitHub the job's summary, annotations
    and outputs, to GitLab a report of annotations.
    """
    import msgspec

    from matrix.analysis.analysis import analyse
    from matrix.analysis.ledger.read import read_ledger
    from matrix.baseline.outcome import Night
    from matrix.plan.project import Project
    from matrix.report.export import ci as of_ci
    from matrix.results.latest import read_finished
    from vms.files import write_whole

    analysis = analyse(*read_finished(run), Project.open(ROOT).experiments, read_ledger())
    file = run / "nightly.json"
    night = msgspec.json.decode(file.read_bytes(), type=Night) if file.exists() else None
    found = of_ci.findings(analysis, night)
    page = f"results/{run.name}/report/index.html"
    if environment.get("GITHUB_ACTIONS") == "true":
        print("\n".join(of_ci.github_annotations(found)))
        _append(environment, "GITHUB_STEP_SUMMARY", of_ci.job_summary(analysis, night))
        _append(environment, "GITHUB_OUTPUT", f"run={run.name}\npage={page}\n")
    elif environment.get("GITLAB_CI") == "true":
        url = f"{environment.get('CI_JOB_URL', '')}/artifacts/file/{page}"
        write_whole(ROOT / _REPORT, of_ci.gitlab_annotations(found, url))
    else:
        complain("this is no job of GitHub Actions or GitLab CI: only the run's own reports were written")


def _append(environment: Mapping[str, str], name: str, text: str) -> None:
    if path := environment.get(name):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
