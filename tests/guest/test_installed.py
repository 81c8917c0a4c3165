"""The installed program from nothing: an empty environment, an empty directory, one kernel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.installed import Environment, build

pytestmark = pytest.mark.guest


def test_an_installed_program_asks_a_kernel_its_own_and_the_users_questions(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    _, wheel = build(tmp_path_factory.mktemp("dist"))
    environment = Environment.empty(tmp_path_factory.mktemp("environment"))
    environment.install(wheel)
    made = environment.run("experiments", "--new", "one-syn", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "conntrack-matrix matrix -k newest -e one-syn" in made.stdout
    done = environment.run(
        *("matrix", "-k", "6.12", "-e", "baseline", "-e", "one-syn", "--accel", "tcg"), cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "results" / "latest"
    records = json.loads((results / "results.json").read_bytes())
    assert {record["experiment"] for record in records} == {"baseline", "one-syn"}
    assert {record["status"] for record in records} == {"pass"}
    page = (results / "report" / "index.html").read_text(encoding="utf-8")
    assert "conntrack-matrix matrix -k 6.12" in page
    assert {path.name for path in tmp_path.iterdir()} == {"matrix.toml", "my-experiments", "results"}
