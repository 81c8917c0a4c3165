from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import gone
from vms.command import Machine, command_line, words
from vms.deadline import Deadline
from vms.errors import HostError, LostGuest
from vms.qemu import Qemu
from vms.qemu_binary import find_qemu
from vms.runtime import private_directory

Fake = Callable[[str], None]


@contextmanager
def started(machine: Machine) -> Iterator[Qemu]:
    with private_directory() as directory:
        qemu = Qemu(words(command_line(find_qemu(), machine, directory)), directory, "6.1.0")
        try:
            yield qemu
        finally:
            qemu.close()


def soon(seconds: float = 60) -> Deadline:
    return Deadline(seconds, "trying it")


def test_the_version_is_found(fake_qemu: Fake) -> None:
    assert find_qemu().version == "7.2.22 (fake 1)"


def test_only_devices_of_which_qemu_says_that_it_can_do_without_are_left_out(fake_qemu: Fake) -> None:
    assert find_qemu().left_out == ("sata=off", "i8042=off")


def test_another_build_is_another_qemu(fake_qemu: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    before = find_qemu().identity
    monkeypatch.setenv("FAKE_QEMU_BUILD", "2")
    fake_qemu("")
    assert find_qemu().identity != before


def replace_qemu(directory: Path) -> None:
    """Puts another program in its place, as an upgrade does."""
    program = directory / "bin" / "qemu-system-x86_64"
    new = program.with_name("new")
    new.write_text(program.read_text() + "# upgraded\n")
    new.chmod(0o755)
    new.rename(program)


def test_a_qemu_that_is_replaced_is_not_used_any_more(fake_qemu: Fake, tmp_path: Path) -> None:
    assert find_qemu() == find_qemu()
    replace_qemu(tmp_path)
    with pytest.raises(
        HostError, match=r"was upgraded during the run \(was QEMU 7\.2\.22 \(fake 1\)\); start the run again"
    ):
        find_qemu()
    fake_qemu("")  # as another process finds it
    assert find_qemu() == find_qemu()
    (tmp_path / "bin" / "qemu-system-x86_64").unlink()
    with pytest.raises(HostError, match="was upgraded during the run"):
        find_qemu()


@pytest.mark.fault(phase="start", fault="program missing", outcome="an error that names the package")
def test_no_qemu_says_which_package(fake_qemu: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dpkg-query").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "dpkg-query").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    line = "apt-get install --no-install-recommends qemu-system-x86 "
    with pytest.raises(HostError, match=f"not on the PATH; as root, run: {line}"):
        find_qemu()


@pytest.mark.fault(phase="start", fault="QEMU too old", outcome="an error that names its version")
def test_an_old_qemu_is_named(fake_qemu: Fake) -> None:
    fake_qemu("old")
    with pytest.raises(HostError, match=r"is QEMU 5\.1\.0 .*at least 7\.2 is needed"):
        find_qemu()


@pytest.mark.fault(phase="start", fault="program fails", outcome="an error in its words")
def test_a_broken_qemu_speaks_for_itself(fake_qemu: Fake) -> None:
    fake_qemu("broken")
    with pytest.raises(HostError, match=r"status 127: error while loading shared libraries: libglib"):
        find_qemu()


def test_a_file_that_is_no_program(fake_qemu: Fake, tmp_path: Path) -> None:
    (tmp_path / "bin" / "qemu-system-x86_64").write_bytes(b"\x7fELF")
    with pytest.raises(HostError, match="Exec format error"):
        find_qemu()


@pytest.mark.fault(phase="boot", fault="QEMU ends early", outcome="an error in its words")
def test_an_early_exit_is_told_in_qemus_words(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("exit")
    with (
        pytest.raises(LostGuest, match=r"6\.1\.0: QEMU ended with status 1: qemu: could not open 'nothing'"),
        started(machine) as qemu,
    ):
        qemu.execute("query-status", soon())


def test_only_the_end_of_what_qemu_said_is_read(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("exit verbose")
    with started(machine) as qemu:
        qemu.wait(soon())
        tracemalloc.start()
        try:
            assert re.fullmatch(r"QEMU ended with status 1: x{1900,1999}\nqemu: could not .*", qemu.epitaph)
            assert tracemalloc.get_traced_memory()[1] < 1 << 19  # Python 3.14 buffers 128 KiB
        finally:
            tracemalloc.stop()


def test_qemu_has_limits_and_is_the_first_to_be_killed_when_memory_ends(
    fake_qemu: Fake, machine: Machine
) -> None:
    with started(machine) as qemu:
        qemu.execute("query-status", soon())
        process = Path(f"/proc/{qemu.pid}")
        limits = {
            line[:25].strip(): line[25:].split()[:2] for line in (process / "limits").read_text().splitlines()
        }
        assert limits["Max file size"] == ["8388608", "8388608"]
        assert limits["Max core file size"] == ["0", "0"]
        assert limits["Max open files"] == ["1024", "1024"]
        assert (process / "oom_score_adj").read_text() == "1000\n"
        assert int(Path("/proc/self/oom_score_adj").read_text()) < 1000


def test_limits_that_are_lower_already_stay(
    fake_qemu: Fake, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 512))
    with started(machine) as qemu:
        qemu.execute("query-status", soon())
        assert "512" in next(
            line
            for line in Path(f"/proc/{qemu.pid}/limits").read_text().splitlines()
            if line.startswith("Max open files")
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to give up")
def test_qemu_started_by_root_can_read_but_has_no_other_capability(fake_qemu: Fake, machine: Machine) -> None:
    with started(machine) as qemu:
        qemu.execute("query-status", soon())
        status = Path(f"/proc/{qemu.pid}/status").read_text()
    capabilities = {line[3:6]: int(line[7:], 16) for line in status.splitlines() if line.startswith("Cap")}
    assert {capabilities[name] & ~(1 << 2) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}


@pytest.mark.fault(phase="boot", fault="QEMU silent", outcome="an error within the deadline")
def test_a_qemu_that_opens_no_socket_is_given_up(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("deaf")
    with pytest.raises(LostGuest, match=r"opened no socket for qmp within 0\.3 s"), started(machine) as qemu:
        qemu.execute("query-status", soon(0.3))


@pytest.mark.fault(phase="boot", fault="QEMU silent", outcome="an error within the deadline")
def test_a_silent_monitor_is_given_up(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("mute")
    with started(machine) as qemu:
        qemu.execute("query-status", soon())
        with pytest.raises(LostGuest, match=r"did not answer stop within 0\.3 s \(trying it\)"):
            qemu.execute("stop", soon(0.3))


def test_a_refusal_is_told_in_qemus_words(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("refuse")
    with (
        pytest.raises(HostError, match="QEMU refused migrate: a device is unmigratable"),
        started(machine) as qemu,
    ):
        qemu.save(soon())


def test_state_is_saved_and_loaded(fake_qemu: Fake, machine: Machine) -> None:
    with started(machine) as first:
        state = first.save(soon())
    assert state.startswith(b"state of ")
    with started(machine) as second:
        second.load(state, soon())
        assert not second.ended


def test_its_death_is_noticed_while_waiting_for_it(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("mute")
    with started(machine) as qemu:
        threading.Timer(0.3, os.kill, (qemu.pid, signal.SIGKILL)).start()
        began = time.monotonic()
        with pytest.raises(LostGuest, match="QEMU ended with SIGKILL"):
            qemu.execute("stop", soon(60))
        assert time.monotonic() - began < 50


@pytest.mark.fault(phase="cell", fault="guest ends", outcome="no process, socket or directory is left")
def test_nothing_is_left_when_closed(fake_qemu: Fake, machine: Machine) -> None:
    with started(machine) as qemu:
        qemu.execute("query-status", soon())
    assert qemu.ended
    assert not qemu.directory.exists()
    qemu.close()


class HeldByTheHost:
    """A process that does not end though it was killed."""

    pid = 0

    def kill(self) -> None:
        pass

    def wait(self, timeout: float) -> int:
        raise subprocess.TimeoutExpired("qemu", timeout)


@pytest.mark.fault(phase="cell", fault="host's disk silent", outcome="a QEMU that cannot end is an error")
def test_a_qemu_that_does_not_end_is_waited_for_only_so_long(
    fake_qemu: Fake, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(machine) as qemu, monkeypatch.context() as held:
        held.setattr(qemu, "_process", HeldByTheHost())
        with pytest.raises(HostError, match="was killed and has not ended after 30 s"):
            qemu.close()


@pytest.mark.fault(phase="boot", fault="tool killed", outcome="QEMU dies with it")
def test_it_dies_when_we_are_killed(fake_qemu: Fake, machine: Machine, tmp_path: Path) -> None:
    # Started from a thread that has ended, which must not end it; then its process is killed.
    code = f"""
import threading, time
from pathlib import Path
from vms.qemu import Qemu
started = []
def start():
    started.append(Qemu(["sleep", "300"], Path({str(tmp_path)!r}), "it"))
thread = threading.Thread(target=start)
thread.start()
thread.join()
time.sleep(0.3)
print(started[0].pid, started[0].ended, flush=True)
time.sleep(300)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        pid, ended = other.stdout.readline().split()
        assert ended == "False"
        assert Path(f"/proc/{pid}").exists()
        other.kill()
        other.wait()
    assert gone(int(pid))
