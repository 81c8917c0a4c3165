from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context

import tasks
from commands.__main__ import with_help_first
from commands.scripts import arguments


def script(capsys: pytest.CaptureFixture[str], file: Path, **flags: Any) -> tuple[int, str]:
    lists: dict[str, list[str]] = {"kernel": [], "push": [], "sysctl": [], "ignore": []}
    with pytest.raises(SystemExit) as caught:
        tasks.script(Context(), str(file), **(lists | flags))
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    (tmp_path / "hello.sh").write_text("echo hello\n")
    return tmp_path / "hello.sh"


def test_a_guest_with_too_little_memory_is_refused(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = script(capsys, hello, memory="64")
    assert (code, said) == (2, "error: --memory 64: a guest needs at least 256 MiB\n")


def test_a_capture_of_a_users_namespace_is_refused(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = script(capsys, hello, user=True, capture=True)
    assert code == 2
    assert said.startswith("error: --capture with --user: packets are captured in the guest's initial")


def test_the_labs_namespaces_are_roots_only(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        tasks.shell(Context(), "6.12", push=[], pull=[], user=True, lab="router")
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: --lab with --user: only the guest's root can make")


def test_an_endless_standard_input_is_refused(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = script(capsys, hello, stdin="/dev/zero")
    assert (code, said) == (2, "error: --stdin /dev/zero: it is longer than 16 MiB\n")


def test_arguments_of_the_script_follow_two_dashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["invoke", "script", "a", "-k", "6.1", "--", "-x", "--", "history"])
    assert arguments(sys.argv) == ["-x", "--", "history"]
    assert arguments(["invoke", "script", "a"]) == []


def test_help_after_two_dashes_is_the_scripts() -> None:
    assert with_help_first(["script", "a", "--help"]) == ["--help", "script"]
    assert with_help_first(["script", "a", "--", "--help"]) == ["script", "a", "--", "--help"]
