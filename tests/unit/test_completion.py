from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.context import Context
from invoke.parser import Parser

import tasks
from commands import completion
from commands.completion import candidates
from commands.examples import EXAMPLES
from tests.support.project import ROOT

CONTEXTS = {context.name or "": context for context in Collection.from_module(tasks).to_contexts()}


def offered(words: str) -> list[str]:
    return candidates(words.split(" "), CONTEXTS)


def test_tasks_and_flags_are_completed() -> None:
    assert offered("mat") == ["matrix"]
    assert offered("--v") == ["--version"]
    assert offered("matrix --dry") == ["--dry-run"]
    assert set(EXAMPLES) == set(offered(""))


def test_values_are_completed_by_what_they_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_kernels", lambda: ("6.1", "6.1.9", "5.10"))
    monkeypatch.setattr(completion, "RESULTS", tmp_path)
    for name in ("20260503", "$(reboot)"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    assert offered("matrix -k 6.") == ["6.1", "6.1.9"]
    assert offered("upgrade 5.10 6.1.") == ["6.1.9"]
    assert "table-full" in offered("matrix -k 6.1 -e table")
    assert offered("export tap --run ") == ["20260503"]
    assert offered("matrix --accel k") == ["kvm"]
    assert offered("matrix --jobs ") == []


def test_bash_completes_with_the_script_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(completion, "COMMAND", "conntrack-matrix")
    with pytest.raises(SystemExit) as ended:
        tasks.completion(Context(), "bash")
    assert ended.value.code == 0
    program = tmp_path / "conntrack-matrix"
    program.write_text(f'#!/bin/sh\ncd {ROOT}\nexec {sys.executable} -m commands "$@"\n')
    program.chmod(0o755)
    script = tmp_path / "bash-completion" / "completions" / "conntrack-matrix"
    typed = "COMP_WORDS=(conntrack-matrix matrix --offl); COMP_CWORD=2"
    done = subprocess.run(
        ["bash", "-c", f'source {script}; {typed}; _conntrack_matrix; echo "${{COMPREPLY[@]}}"'],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "--offline\n", done.stderr


@pytest.mark.parametrize(
    ("shell", "file"),
    [("zsh", "data/zsh/site-functions/_invoke"), ("fish", "config/fish/completions/invoke.fish")],
)
def test_each_shell_finds_its_script_where_it_looks(
    shell: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with pytest.raises(SystemExit):
        tasks.completion(Context(), shell)
    assert "./invoke --complete " in (tmp_path / file).read_text()


@pytest.mark.parametrize("name", tasks.__all__)
def test_a_task_has_two_examples_that_can_be_read(name: str) -> None:
    import shlex

    from commands.__main__ import with_flags

    assert len(set(EXAMPLES[name])) == 2
    for example in EXAMPLES[name]:
        words = with_flags(shlex.split(example))
        if words[0] != "--help":
            (context,) = Parser(contexts=list(CONTEXTS.values())).parse_argv(words)
            assert context.name == name


def test_the_help_of_a_task_ends_with_its_examples() -> None:
    command = [sys.executable, "-m", "commands", "upgrade", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith(
        "Examples:\n  ./invoke upgrade 6.1 6.12\n  ./invoke upgrade 6.1 6.12 --markdown\n\n"
    )


def test_with_no_color_in_the_environment_a_terminal_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from commands.shell import console

    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not console().no_color
    monkeypatch.setenv("NO_COLOR", "1")
    assert console().no_color
