"""The files for GitHub Actions and GitLab CI against the schemas of these, which check-jsonschema
brings along.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.support.project import ROOT

SECONDS = 300
HEADER, JOB = (ROOT / "templates" / "conntrack-matrix.yml").read_text().split("\n---\n")
GITHUB_EXAMPLE, GITLAB_EXAMPLE = re.findall(
    r"```yaml\n((?:jobs|include):.*?)```", (ROOT / "docs" / "nightly.md").read_text(), re.DOTALL
)
SCHEMAS: Mapping[str, tuple[str, ...]] = {
    "action": ("vendor.github-actions",),
    "workflow": ("vendor.github-workflows",),
    "gitlab": ("vendor.gitlab-ci", "--data-transform=gitlab-ci"),
}


def filled(text: str) -> str:
    """A component's text as GitLab reads it: in each value every input at its default."""
    inputs = yaml.safe_load(HEADER)["spec"]["inputs"]

    def default(found: re.Match[str]) -> str:
        return str(inputs[found[1]].get("default", "x"))

    def value(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: value(item) for key, item in node.items()}
        if isinstance(node, list):
            return [value(item) for item in node]
        return re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", default, node) if isinstance(node, str) else node

    return str(yaml.safe_dump(value(yaml.safe_load(text))))


FILES = {
    "ci/action.yml": ("action", (ROOT / "ci" / "action.yml").read_text()),
    "docs/nightly/github-actions.yml": (
        "workflow",
        (ROOT / "docs" / "nightly" / "github-actions.yml").read_text(),
    ),
    "the example for GitHub": ("workflow", f"on: push\n{GITHUB_EXAMPLE}"),
    "docs/nightly/gitlab-ci.yml": ("gitlab", (ROOT / "docs" / "nightly" / "gitlab-ci.yml").read_text()),
    "docs/publishing/github-pages.yml": (
        "workflow",
        (ROOT / "docs" / "publishing" / "github-pages.yml").read_text(),
    ),
    "docs/publishing/gitlab-pages.yml": (
        "gitlab",
        (ROOT / "docs" / "publishing" / "gitlab-pages.yml").read_text(),
    ),
    "the component's header": ("gitlab", HEADER),
    "the component": ("gitlab", filled(JOB)),
    "the example for GitLab": ("gitlab", GITLAB_EXAMPLE),
}


def checked(kind: str, text: str, place: Path) -> subprocess.CompletedProcess[str]:
    file = place / "file.yml"
    file.write_text(text)
    schema, *flags = SCHEMAS[kind]
    return subprocess.run(
        [Path(sys.executable).parent / "check-jsonschema", f"--builtin-schema={schema}", *flags, file],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


@pytest.mark.parametrize("name", FILES)
def test_a_file_for_a_ci_is_as_its_schema_says(name: str, tmp_path: Path) -> None:
    done = checked(*FILES[name], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("ci/action.yml", "using: composite", "using: compsite"),
        ("docs/nightly/github-actions.yml", "runs-on:", "run-on:"),
        ("docs/nightly/gitlab-ci.yml", "artifacts:", "artifact:"),
        ("the component's header", "  inputs:", "  input:"),
        ("the component", "when: always", "when: allways"),
        ("the example for GitLab", "component:", "component: [x]\n    y:"),
    ],
)
def test_a_mistake_in_it_is_found(name: str, right: str, wrong: str, tmp_path: Path) -> None:
    kind, text = FILES[name]
    assert right in text
    assert checked(kind, text.replace(right, wrong), tmp_path).returncode == 1
