"""The exit codes of `./invoke verdict`, which `git bisect run` reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context

import tasks
from matrix.plan.project import Project
from tests.support.fakes import FakeGuests, answer, make_kernel
from vms.answer import Answer
from vms.errors import FetchError, LostGuest, UsageError
from vms.kernels.catalogue import Catalogue
from vms.kernels.select import Selection

CELL = "max-zero"
Say = Callable[[str, dict[str, Any]], Answer]


def facts(written: int) -> Say:
    from guest.catalogue import load

    some: dict[type, Any] = {bool: True, int: 1, str: "x", list: [], dict: {"0": written}}
    declared = {fact.name: some[fact.type] for fact in load()["max-zero"].facts}
    return lambda _kernel, request: answer(request, facts=declared)


def lost(_kernel: str, _request: dict[str, Any]) -> Answer:
    raise LostGuest("gone")


def unsupported(_kernel: str, request: dict[str, Any]) -> Answer:
    return answer(request, outcome="unsupported", reason="the kernel's words", facts={})


@pytest.fixture
def verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    monkeypatch.setattr("commands.shell.RESULTS", tmp_path)
    monkeypatch.setattr("commands.bisecting.RESULTS", tmp_path)
    monkeypatch.setattr("commands.bisecting.tidy", lambda _keep: None)
    monkeypatch.setattr("commands.bisecting.keep", lambda _setting, _run: None)

    def ask(value: str, say: Say = lost, selected: Any = None, kernel: str = "6.1") -> tuple[int, str]:
        def select(_self: Project, _specs: Any) -> Selection:
            if isinstance(selected, Exception):
                raise selected
            return Selection(selected or (make_kernel("6.1.9"),), Catalogue(()))

        monkeypatch.setattr(Project, "select", select)
        monkeypatch.setattr("matrix.run.machines.Machines", lambda *_: FakeGuests(say))
        with pytest.raises(SystemExit) as caught:
            tasks.verdict(Context(), f"{CELL}:{value}", kernel)
        assert isinstance(caught.value.code, int)
        said = capsys.readouterr()
        return caught.value.code, said.out + said.err

    return ask


@pytest.mark.parametrize(("written", "code"), [(1, 0), (0, 1)])
def test_0_is_the_value_and_1_another(
    written: int, code: int, verdict: Callable[..., tuple[int, str]]
) -> None:
    got, said = verdict("write=0 1", facts(written))
    assert got == code
    assert f"6.1.9: {CELL}:write is 0 {written}" in said


@pytest.mark.parametrize(
    ("say", "selected", "message"),
    [
        (lost, None, "not known: 6.1.9 is error: "),
        (unsupported, None, "not known: 6.1.9 is unsupported: the kernel's words"),
        (lost, UsageError("build it first"), "not known: build it first"),
        (lost, FetchError("404"), "not known: 404"),
        (lost, OSError(13, "Permission denied", "/x"), "not known: Permission denied: /x"),
    ],
)
def test_125_is_what_cannot_be_told(
    say: Say, selected: Any, message: str, verdict: Callable[..., tuple[int, str]]
) -> None:
    code, said = verdict("write=0 1", say, selected)
    assert code == 125
    assert message in said


@pytest.mark.parametrize(
    ("value", "kernel", "selected", "message"),
    [
        ("wrote=0 1", "6.1", None, "max-zero has no fact 'wrote'; did you mean write?"),
        ("write=many", "6.1", None, "cannot be 'many'; give for example a 7, b 3"),
        ("write=0 1", "6.x", None, "--kernel: expected a number"),
        (
            "write=0 1",
            "6.1.*",
            (make_kernel("6.1.8"), make_kernel("6.1.9")),
            "--kernel '6.1.*' means 2 kernels; give one",
        ),
    ],
)
def test_a_wrong_question_ends_the_bisection(
    value: str, kernel: str, selected: Any, message: str, verdict: Callable[..., tuple[int, str]]
) -> None:
    code, said = verdict(value, lost, selected, kernel)
    assert code == 128
    assert message in said
