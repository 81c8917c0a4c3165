from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.parser import Parser

import tasks
from commands import completion
from commands.__main__ import with_flags, with_help_first
from commands.collection import Tasks, by_name
from commands.completion import candidates
from commands.examples import EXAMPLES
from commands.shell import console
from matrix.plan.project import Project
from tests.support.fakes import make_kernel
from tests.support.project import ROOT
from tests.support.terminal import at_terminal
from vms.kernels.catalogue import Catalogue

CONTEXTS = by_name(Tasks.from_module(tasks))


def offered(words: str) -> list[str]:
    return candidates(with_flags(words.split(" ")), CONTEXTS)


def test_tasks_and_flags_are_completed() -> None:
    assert offered("mat") == ["matrix"]
    assert offered("--v") == ["--version"]
    assert offered("matrix --dry") == ["--dry-run"]
    assert set(offered("")) == set(CONTEXTS)


def test_values_are_completed_by_what_they_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(completion._VALUES, "kernel", lambda: ("6.1", "6.1.9", "5.10"))
    monkeypatch.setattr(completion, "RESULTS", tmp_path)
    for name in ("20260503", "$(reboot)"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    assert offered("matrix -k 6.") == ["6.1", "6.1.9"]
    assert offered("matrix --kernel=6.1.") == ["--kernel=6.1.9"]
    assert offered("matrix --kernel = 6.1.") == ["6.1.9"]
    assert offered("matrix --kernel =") == ["5.10", "6.1", "6.1.9"]
    assert "table-full" in offered("matrix -k 6.1 -e table")
    assert offered("export tap --run ") == ["20260503"]
    assert offered("export c") == ["csv"]
    assert offered("history table-full.mangle_p") == ["table-full.mangle_packets"]
    assert offered("bench ce") == ["cells"]
    assert offered("test --only u") == ["unit"]
    assert offered("matrix --accel k") == ["kvm"]
    assert offered("matrix --jobs ") == []
    assert offered("script run.sh -- --us") == []


def test_kernels_of_both_sides_are_completed_from_the_package_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Project, "builds", Catalogue((make_kernel("6.1.9"), make_kernel("5.10.3"))))
    assert offered("upgrade 5.10 6.") == ["6.1", "6.1.9"]
    assert offered("compare 5") == ["5.10", "5.10.3"]


def test_the_user_s_own_experiments_are_offered_and_none_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "matrix.toml").write_text('own_experiments = "own"\n')
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text(
        'open("was_run", "w")\n\n@experiment()\ndef mine_only(lab):\n    """Why?"""\n\ndef unnamed(): ...\n'
    )
    (tmp_path / "own" / "broken.py").write_text("def broken(:\n")
    (tmp_path / "own" / "binary.py").write_bytes(b"\xff\0")
    monkeypatch.setattr(completion, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert offered("matrix -e mine") == ["mine-only"]
    assert offered("matrix -e unnamed") == []
    assert not (tmp_path / "was_run").exists()


@dataclass(frozen=True)
class Place:
    """Where completion was installed, the line that settings need for it, and an environment."""

    file: Path
    line: str
    environment: dict[str, str]


@pytest.fixture
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Place:
    """Installs completion for the shell that the test names."""
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        tasks.completion(Context(), request.param)
    assert ended.value.code == 0
    file, how = capsys.readouterr().out.splitlines()
    return Place(Path(file), how.partition(": ")[2], dict(os.environ))


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")


@pytest.mark.parametrize(
    ("place", "settings", "after"),
    [
        pytest.param("bash", ".bashrc", "", marks=needs("bash")),
        pytest.param("zsh", ".zshrc", "autoload -Uz compinit; compinit -D -u", marks=needs("zsh")),
    ],
    indirect=["place"],
)
def test_a_shell_set_up_as_it_was_said_completes_at_a_terminal(
    place: Place, settings: str, after: str
) -> None:
    home = Path(place.environment["HOME"])
    (home / settings).write_text(f"{place.line}\n{after}\nPS1='ready: '\n")
    with at_terminal([settings[1:-2], "-i"], ROOT, place.environment) as terminal:
        terminal.wait_for("ready: ")
        terminal.type("./invoke upgr\t")
        terminal.wait_for("upgrade ")
        terminal.type("--mark\t")
        terminal.wait_for("--markdown ")


@needs("fish")
@pytest.mark.parametrize("place", ["fish"], indirect=True)
def test_fish_completes(place: Place) -> None:
    def completed(typed: str) -> list[str]:
        done = subprocess.run(
            ["fish", "--command", f"complete --do-complete '{typed}'"],
            cwd=ROOT,
            env=place.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    assert completed("./invoke upgr") == ["upgrade"]
    assert completed("./invoke upgrade 6.1 6.12 --mark") == ["--markdown"]


@pytest.mark.parametrize("place", ["bash"], indirect=True)
def test_the_invoke_of_another_directory_is_neither_completed_nor_run(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "invoke"
    other.write_text("#!/bin/sh\ntouch was_run\n")
    other.chmod(0o755)
    typed = "COMP_WORDS=(./invoke upgr); COMP_CWORD=1"
    done = subprocess.run(
        ["bash", "-c", f'. {place.file}; {typed}; _complete_invoke ./invoke; echo "${{COMPREPLY[@]}}"'],
        cwd=tmp_path,
        env=place.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("place", ["bash"], indirect=True)
def test_completion_is_installed_again_but_never_over_another_program_s(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as again:
        tasks.completion(Context(), "bash")
    place.file.write_text("complete -W 'a b' invoke\n")
    with pytest.raises(SystemExit) as over_another:
        tasks.completion(Context(), "bash")
    assert (again.value.code, over_another.value.code) == (0, 2)
    assert "completes another program's command lines" in capsys.readouterr().err
    assert place.file.read_text() == "complete -W 'a b' invoke\n"


@pytest.mark.parametrize("name", tasks.__all__)
def test_a_task_has_two_examples_that_can_be_read(name: str) -> None:
    assert len(set(EXAMPLES[name])) == 2
    for example in EXAMPLES[name]:
        words = with_flags(shlex.split(example))
        ours = with_help_first(words)
        if ours[0] != "--help":
            (context,) = Parser(contexts=list(CONTEXTS.values())).parse_argv(ours)
            assert context.name == name


def test_the_help_of_a_task_ends_with_its_examples() -> None:
    command = [sys.executable, "-m", "commands", "upgrade", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith(
        "Examples:\n  ./invoke upgrade 6.1 6.12\n  ./invoke upgrade 6.1 6.12 --markdown\n\n"
    )


def test_with_no_color_in_the_environment_a_terminal_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not console().no_color
    monkeypatch.setenv("NO_COLOR", "1")
    assert console().no_color
