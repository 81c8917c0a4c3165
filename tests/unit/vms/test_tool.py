from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import gone
from vms import tool
from vms.deadline import Deadline
from vms.errors import HostError


def soon() -> Deadline:
    return Deadline(60, "trying it")


def test_a_tools_output_is_returned() -> None:
    assert tool.run(["sh", "-c", "echo out; echo err >&2"], soon()) == "out\nerr\n"


def test_a_tool_runs_in_the_given_environment_and_directory(tmp_path: Path) -> None:
    assert (
        tool.run(["sh", "-c", "echo $X $LC_ALL; pwd"], soon(), environment={"X": "1"}, cwd=tmp_path)
        == f"1 C.UTF-8\n{tmp_path}\n"
    )


def test_a_failed_tool_is_reported_with_its_purpose_and_last_output() -> None:
    with pytest.raises(tool.ToolFailed, match="trying it: sh ended with status 3: no such luck") as error:
        tool.run(["sh", "-c", "echo no such luck; exit 3"], soon())
    assert error.value.output == "no such luck\n"


@pytest.mark.fault(phase="unpack", fault="program missing", outcome="an error that names the program")
def test_a_missing_program_is_named() -> None:
    with pytest.raises(HostError, match="trying it: the program no-such-program is missing"):
        tool.run(["no-such-program"], soon())


def test_programs_of_sbin_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert "kmod" in tool.run(["depmod", "--version"], soon())


@pytest.mark.fault(phase="unpack", fault="disk full", outcome="one message that names `./invoke prune`")
def test_a_tool_that_fails_on_a_full_disk_is_reported_as_such() -> None:
    with pytest.raises(HostError, match="trying it: no space left on the disk"):
        tool.run(["sh", "-c", "echo 'write error: No space left on device'; exit 1"], soon())


@pytest.mark.fault(phase="unpack", fault="program hangs", outcome="it is killed at its deadline")
def test_a_tool_does_not_outlive_its_deadline() -> None:
    start = time.monotonic()
    with pytest.raises(HostError, match=r"trying it: sh did not finish within 0\.3 s"):
        tool.run(["sh", "-c", "sleep 60 & sleep 60"], Deadline(0.3, "trying it"))
    assert time.monotonic() - start < 50


@pytest.mark.fault(
    phase="unpack",
    fault="program leaves a helper",
    outcome="it is not waited for",
)
def test_a_helper_that_left_its_group_is_not_waited_for(tmp_path: Path) -> None:
    helper = tmp_path / "helper"
    words = f"setsid sh -c 'echo $$ >{helper}.new; mv {helper}.new {helper}; exec sleep 600' & sleep 600"
    # The deadline passes once the helper has left the group.
    deadline = Deadline(0.3, "trying it", lambda: 1.0 if helper.exists() else 0.0)
    start = time.monotonic()
    with pytest.raises(HostError, match=r"did not finish within 0\.3 s"):
        tool.run(["sh", "-c", words], deadline, enough=lambda: False)
    assert time.monotonic() - start < 300
    os.kill(int(helper.read_text()), signal.SIGKILL)


@pytest.mark.fault(phase="unpack", fault="tool killed", outcome="the programs that it started end with it")
def test_a_tool_does_not_outlive_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys; from vms import tool; from vms.deadline import Deadline; tool.run(['sh', '-c',"
        " sys.argv[1]], Deadline(60, 'x'))"
    )
    note = tmp_path / "pid"
    process = subprocess.Popen(
        [sys.executable, "-c", script, f"echo $$ > {note}.new; mv {note}.new {note}; exec sleep 60"]
    )
    while not note.exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert gone(int(note.read_text()))


@pytest.mark.fault(
    phase="unpack", fault="tool killed", outcome="a program that it was about to start does not run"
)
def test_what_a_dead_process_was_about_to_start_does_not_run(tmp_path: Path) -> None:
    script = "import sys; from vms.tool import tied; print(*tied(sys.argv[1:]), sep='\\0', end='')"
    made = {"ours": tmp_path / "ours", "of a dead process": tmp_path / "theirs"}
    dead = subprocess.run(
        [sys.executable, "-c", script, "touch", str(made["of a dead process"])],
        capture_output=True,
        text=True,
        check=True,
    )
    subprocess.run(dead.stdout.split("\0"), check=False)
    subprocess.run(tool.tied(["touch", str(made["ours"])]), check=True)
    assert {name: path.exists() for name, path in made.items()} == {"ours": True, "of a dead process": False}


@pytest.mark.fault(
    phase="unpack", fault="tool interrupted", outcome="the programs that it started end at once"
)
def test_ctrl_c_ends_a_tool_at_once(tmp_path: Path) -> None:
    # As a task does: Ctrl-C may come while the program is being started.
    script = """
import sys
from tests.support.processes import gone
from vms import tool
from vms.deadline import Deadline
from vms.interrupt import interrupt

try:
    tool.run(["sh", "-c", sys.argv[1]], Deadline(60, "x"))
except KeyboardInterrupt:
    interrupt()
"""
    note = tmp_path / "pid"
    shell = f"sleep 60 & echo $! > {note}.new; mv {note}.new {note}; wait"
    process = subprocess.Popen([sys.executable, "-c", script, shell], stderr=subprocess.DEVNULL)
    while not note.exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=50)
    assert gone(int(note.read_text()))


def test_a_tool_is_ended_once_it_has_done_enough(tmp_path: Path) -> None:
    sign, pid = tmp_path / "sign", tmp_path / "pid"
    start = time.monotonic()
    assert (
        tool.run(
            ["sh", "-c", f"echo $$ > {pid}; echo said; touch {sign}; sleep 60"], soon(), enough=sign.exists
        )
        == ""
    )
    assert time.monotonic() - start < 50
    assert gone(int(pid.read_text()))


def test_a_tool_that_ends_before_it_has_done_enough_returns_its_output() -> None:
    assert tool.run(["echo", "said"], soon(), enough=lambda: False) == "said\n"
    with pytest.raises(tool.ToolFailed):
        tool.run(["false"], soon(), enough=lambda: False)
    with pytest.raises(HostError, match=r"did not finish within 0\.1 s"):
        tool.run(["sleep", "60"], Deadline(0.1, "trying it"), enough=lambda: False)
