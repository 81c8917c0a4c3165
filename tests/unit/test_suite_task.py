from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context

import tasks
from matrix.script.guests import Ending, Read
from matrix.script.script import Script
from tests.support.fakes import FakeGuests, make_kernel
from tests.support.packages import catalogue_of
from vms.answer import Answer
from vms.kernels.select import Selection
from vms.ssh import Attempt

KERNELS = ("6.1.9", "6.12.9")
SAID = {
    "a_same.sh": {"6.1.9": (0, "PASS: one\n"), "6.12.9": (0, "PASS: one\n")},
    "b_fails.sh": {"6.1.9": (1, "PASS: one\nFAIL: two\n"), "6.12.9": (0, "PASS: one\nPASS: two\n")},
    "c_lacks.sh": dict.fromkeys(KERNELS, (4, "SKIP: Could not run test without socat\n")),
}
"""What each program says on each kernel."""


@pytest.fixture(autouse=True)
def guests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Guests of two kernels that say what programs would."""

    def made(_machines: object, scripts: Mapping[str, Script], read: Read) -> FakeGuests:
        def ran(kernel: str, request: dict[str, Any]) -> Answer:
            script = scripts[request["experiment"]]
            code, text = SAID[script.name][kernel]
            return read(Ending(script, kernel, Attempt(code, text.encode(), b"")))

        return FakeGuests(ran)

    kernels = tuple(make_kernel(name) for name in KERNELS)
    monkeypatch.setattr("vms.image.build_image", lambda *_: None)
    monkeypatch.setattr("matrix.run.machines.Machines", lambda *_: None)
    monkeypatch.setattr("matrix.script.guests.ScriptGuests", made)
    monkeypatch.setattr(
        "matrix.plan.project.Project.select", lambda *_: Selection(kernels, catalogue_of(*kernels))
    )
    monkeypatch.setattr("commands.shell.RESULTS", tmp_path / "results")
    monkeypatch.setattr("commands.suites.keep", lambda *_: None)
    monkeypatch.setattr("commands.suites.tidy", lambda *_: None)


def suite(tmp_path: Path, *only: str, **flags: Any) -> int:
    directory = tmp_path / "tests"
    directory.mkdir(exist_ok=True)
    for name in SAID:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    with pytest.raises(SystemExit) as caught:
        tasks.suite(Context(), f"directory:{directory}", kernel=list(KERNELS), only=list(only), **flags)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_each_program_is_a_row_and_what_failed_or_was_missing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite(tmp_path) == 1
    said = capsys.readouterr().out.splitlines()
    rows = [" ".join(line.split()) for line in said[:4]]
    assert rows == [
        "program 6.1.9 6.12.9",
        "a_same ok (1) ok (1)",
        "b_fails fail (1 of 2 failed) ok (2)",
        "c_lacks unsupported unsupported",
    ]
    assert "b_fails: fail: two (on 6.1.9)" in said
    assert "c_lacks: unsupported: SKIP: Could not run test without socat" in said
    assert "6.1.9: 3 programs: 1 fail, 1 ok, 1 unsupported" in said


def test_a_failure_that_is_known_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SAID, "nf_nat_edemux", {"6.1.9": (1, "FAIL: port"), "6.12.9": (0, "PASS: port")})
    assert suite(tmp_path, "nf_*") == 1
    said = capsys.readouterr().out.splitlines()
    assert "nf_nat_edemux: fail: port (on 6.1.9)" in said
    (why,) = [line for line in said if "e27c3295114b" in line]
    assert why.startswith("nf_nat_edemux: lacks netfilter: nf_nat: undo erroneous tcp edemux lookup")
    assert why.endswith(" (on 6.1.9)")


def test_programs_that_say_the_same_end_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert suite(tmp_path, "a_*", "c_lacks") == 0
    assert "b_fails" not in capsys.readouterr().out


def test_the_records_are_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert suite(tmp_path, "a_*", json=True) == 0
    assert '"verdict": "ok"' in capsys.readouterr().out
