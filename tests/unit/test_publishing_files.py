"""The files that docs/publishing.md hands out: their scripts publish the nights that are there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.support.project import ROOT

FILES = ROOT / "docs" / "publishing"


def steps_of(name: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = yaml.safe_load((FILES / name).read_text())["jobs"]["nightly"]["steps"]
    return steps


def github() -> str:
    (script,) = [step["run"] for step in steps_of("github-pages.yml") if step.get("name") == "site"]
    assert isinstance(script, str)
    return script


def gitlab() -> str:
    (script,) = yaml.safe_load((FILES / "gitlab-pages.yml").read_text())["pages"]["script"]
    assert isinstance(script, str)
    return script


def published(script: str, shell: list[str], directory: Path) -> str:
    """The words with which the script runs `./invoke`."""
    (directory / "invoke").write_text('#!/bin/sh\necho "$@"\n')
    (directory / "invoke").chmod(0o755)
    done = subprocess.run(
        [*shell, "-c", script], cwd=directory, capture_output=True, text=True, check=True, env=os.environ
    )
    return done.stdout.strip()


SCRIPTS = [(github, ["bash", "--noprofile", "--norc", "-eo", "pipefail"]), (gitlab, ["sh", "-e"])]


@pytest.mark.parametrize(("script", "shell"), SCRIPTS)
def test_every_night_that_is_there_is_published(script: Any, shell: list[str], tmp_path: Path) -> None:
    for run in ("20261126-020011", "20261127-020009"):
        (tmp_path / "results" / run).mkdir(parents=True)
        (tmp_path / "results" / run / "nightly.json").write_text("{}")
    (tmp_path / "results" / "20261127-110000").mkdir()
    (tmp_path / "results" / "latest").symlink_to("20261127-020009")
    assert published(script(), shell, tmp_path) == (
        "site --output public --run 20261126-020011 --run 20261127-020009"
    )


@pytest.mark.parametrize(("script", "shell"), SCRIPTS)
def test_without_a_night_the_record_is_published(script: Any, shell: list[str], tmp_path: Path) -> None:
    assert published(script(), shell, tmp_path) == "site --output public"


def test_findings_of_a_night_are_published_too() -> None:
    steps = steps_of("github-pages.yml")
    after = steps[[step.get("name") for step in steps].index("nightly") + 1 :]
    assert {step["if"] for step in after} == {"!cancelled()", "always()"}
    (rule,) = yaml.safe_load((FILES / "gitlab-pages.yml").read_text())["pages"]["rules"]
    assert rule["when"] == "always"


def test_the_page_on_publishing_names_every_file() -> None:
    page = (ROOT / "docs" / "publishing.md").read_text()
    assert all(path.name in page for path in FILES.iterdir())
