"""A shell in a guest of one real kernel, typed into through a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import pytest

from tests.support.processes import children, gone
from tests.support.project import ROOT

pytestmark = pytest.mark.guest
SHELL = [sys.executable, "-m", "commands", "shell", "6.12"]
FOREGROUND = "sh -c 'echo program  runs; sleep 1000'\n"
"""Prints when it is in the foreground: before, a key reaches the shell that is starting it."""
STARTING = "sh -c 'echo program  runs; while sh -c :; do :; done'\n"
"""Also starts one program after the other."""
_SECONDS = 600.0  # the first may boot its kernel, on a busy machine


class Typist:
    """A terminal with a shell behind it."""

    def __init__(self, terminal: FileIO, process: subprocess.Popen[bytes]) -> None:
        self.hang_up = terminal.close
        self.master = terminal.fileno()
        self.process = process
        self.seen = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Waits until what is shown from now on matches; what was matched is not seen again."""
        end = time.monotonic() + _SECONDS
        while (found := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < end, self.seen
            if select.select([self.master], [], [], 1.0)[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        self.seen = self.seen[found.end() :]
        return found

    def finish(self) -> int:
        """The exit code. Reads until then: a program cannot end while its terminal is full."""
        end = time.monotonic() + _SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < end, self.seen
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        return self.process.returncode

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def typing(*flags: str) -> Iterator[Typist]:
    master, slave = pty.openpty()
    with (
        FileIO(master, "r+") as terminal,
        subprocess.Popen(
            [*SHELL, *flags], cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        ) as process,
    ):
        typist = Typist(terminal, process)
        typist.resize(33, 111)
        try:
            yield typist
        finally:
            process.kill()
            os.close(slave)


def run(*flags: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*SHELL, *flags], cwd=ROOT, input=stdin, capture_output=True, timeout=_SECONDS, check=False
    )


def test_a_shell_has_size_keys_jobs_and_an_exit_code() -> None:
    with typing() as shell:
        before = termios.tcgetattr(shell.master)
        shell.wait_for(r"root@6\.12\.[^:]*:~# ")
        shell.type("stty size; id -u; tty\n")
        shell.wait_for("33 111\r\n0\r\n/dev/pts/")
        shell.resize(40, 90)
        shell.process.send_signal(signal.SIGWINCH)
        shell.type("sleep 3; stty size\n")
        shell.wait_for("40 90\r\n")
        shell.type(FOREGROUND)
        shell.wait_for("program runs")
        time.sleep(1)  # it prints before it waits
        shell.type("\x03")
        shell.wait_for("# ")
        shell.type("echo code $?\n")
        shell.wait_for("code 130\r\n")
        shell.type(FOREGROUND)
        shell.wait_for("program runs")
        time.sleep(1)  # it prints before it waits
        shell.type("\x1a")
        shell.wait_for("Stopped")
        # Bash refuses the first while the job has not ended yet.
        shell.type("kill -KILL %1; exit 7; exit 7\n")
        assert shell.finish() == 7
        assert termios.tcgetattr(shell.master) == before


@pytest.mark.fault(
    phase="cell",
    fault="tool interrupted",
    outcome="a terminal that hangs up ends its shell and the guest",
)
def test_a_terminal_that_hangs_up_ends_the_session_and_its_guest() -> None:
    with typing() as shell:
        shell.wait_for("# ")
        (qemu,) = children(shell.process.pid)
        shell.hang_up()
        assert shell.process.wait(_SECONDS) == 130
        assert gone(qemu)


def test_gdb_connects_stops_the_guest_at_a_breakpoint_and_lets_it_go_on() -> None:
    with typing("--gdb") as shell:
        line = shell.wait_for(r"(gdb -ex 'target remote ([^']*)')\r\n")
        shell.wait_for("# ")
        shell.type("grep -m 1 ' T __x64_sys_getpid$' /proc/kallsyms\n")
        address = shell.wait_for("([0-9a-f]{16}) T __x64")[1]
        shell.type(STARTING)  # each sh asks for its process id
        shell.wait_for("program runs")
        steps = ("set pagination off", f"hbreak *0x{address}", "continue", "print/x $rip", "delete", "detach")
        words = [*shlex.split(line[1]), "-nx", "-batch", *(word for step in steps for word in ("-ex", step))]
        done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False)
        assert f"$1 = 0x{address}" in done.stdout, done.stdout + done.stderr
        shell.type("\x03")
        shell.wait_for("# ")
        shell.type("exit 5\n")
        assert shell.finish() == 5
    assert not Path(line[2]).exists()


def test_three_times_ctrl_and_bracket_leaves_a_guest_that_does_not_answer() -> None:
    with typing() as shell:
        shell.wait_for("# ")
        shell.type(FOREGROUND)
        shell.wait_for("program runs")
        time.sleep(1)  # it prints before it waits
        for _ in range(3):
            shell.type("\x1d")
        shell.wait_for(r"error: 6\.12.*the session was left with Ctrl-\]")
        assert shell.finish() == 3


def test_one_command_gets_files_and_input_and_gives_output_files_and_its_exit_code(tmp_path: Path) -> None:
    pushed = tmp_path / "pushed"
    pushed.write_bytes(b"from the host\n")
    copy = tmp_path / "copy"
    command = "cat pushed - >both; echo out; echo err >/dev/stderr; id -u; exit 9"
    done = run(
        "--user", "--push", str(pushed), "--pull", f"both={copy}", "--command", command, stdin=b"typed\n"
    )
    errors = done.stderr.removeprefix(b"preparing 6.12: its first boot takes a while\n")  # on a busy host
    assert (done.returncode, done.stdout, errors) == (9, b"out\n0\n", b"err\n")
    assert copy.read_bytes() == b"from the host\ntyped\n"


def test_a_client_reaches_a_server_through_the_labs_router_in_both_families() -> None:
    asked = "for to in 10.0.2.2 2001:db8:2::2; do ip netns exec client ip route get $to; done"
    sent = "for to in 10.0.2.2 2001:db8:2::2; do echo x | ip netns exec client nc -w 1 -u $to 9; done"
    counted = "ip netns exec server cat /proc/net/snmp /proc/net/snmp6 | grep -E '^Udp: [0-9]|Udp6NoPorts'"
    done = run("--lab", "router", "--command", f"ip netns identify $$; {asked}; {sent}; {counted}")
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "router", done.stderr
    assert "via 10.0.1.1 dev eth0" in lines[1]
    assert "via 2001:db8:1::1 dev eth0" in done.stdout.decode()
    (ipv4,) = [line.split() for line in lines if line.startswith("Udp: ")]
    (ipv6,) = [line.split() for line in lines if line.startswith("Udp6NoPorts")]
    assert int(ipv4[2]) > 0
    assert int(ipv6[1]) > 0
    assert b"`client` is 10.0.1.2" in done.stderr


def test_a_command_that_a_signal_ends_has_the_shells_code() -> None:
    assert run("--command", "kill -KILL $$").returncode == 137


def test_a_guest_that_ends_is_one_message() -> None:
    done = run("--command", "kill -TERM 1; sleep 100")
    assert done.returncode == 3
    assert done.stderr.startswith(b"error: 6.12")
