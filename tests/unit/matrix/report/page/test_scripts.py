"""The files of the page's script, and the rules that keep each file independent of later files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from commands.shell import ROOT
from matrix.report.page.html import scripts

TEMPLATES = Path("matrix/report/templates")
ESLINT = ROOT / "node_modules" / ".bin" / "eslint"

needs_eslint = pytest.mark.skipif(not ESLINT.exists(), reason="`./invoke test` installs ESLint")


def broken_rules(file: str, text: str) -> list[str]:
    """The ESLint rules that this text would break as the content of that file."""
    command = [str(ESLINT), "--format=json", "--stdin", f"--stdin-filename={TEMPLATES / file}"]
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=False)
    (result,) = json.loads(done.stdout)
    return [message["ruleId"] for message in result["messages"]]


def test_every_script_file_is_joined_into_the_page() -> None:
    assert sorted(scripts()) == sorted(path.name for path in (ROOT / TEMPLATES).glob("*.js"))


@needs_eslint
def test_a_script_file_may_use_the_names_of_earlier_files_but_not_of_later_ones() -> None:
    assert scripts().index("model.js") < scripts().index("grid.js") < scripts().index("panel.js")
    assert broken_rules("grid.js", "const grid = (() => model)();\n") == []
    assert broken_rules("grid.js", "const grid = (() => panel)();\n") == ["no-undef"]


@needs_eslint
def test_a_script_file_declares_only_its_own_name() -> None:
    assert broken_rules("grid.js", "const grid = 1;\nfunction helper() {}\n") == ["no-restricted-syntax"]
