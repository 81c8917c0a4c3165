from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import signal
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.ssh import Relay, connect
from vms.errors import LostGuest
from vms.terminal import attach

Type = Callable[[bytes], None]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[Type]:
    """Types into the standard input of this process, which then ends."""
    reading, writing = os.pipe()

    def type_and_end(text: bytes) -> None:
        def write() -> None:
            with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as stream:
                stream.write(text)

        threading.Thread(target=write).start()

    with os.fdopen(reading, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield type_and_end


def test_output_errors_and_exit_code_are_the_commands(
    pair: tuple[socket.socket, socket.socket], keys: Type, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    keys(b"")
    session = connect(pair[0], Relay(pair[1]))
    assert attach(session, "uname", "6.1.0", terminal=False) == 3
    assert capfdbinary.readouterr() == (b"out:uname", b" err\xff")
    session.close()


def test_the_end_of_a_command_is_noticed_although_nobody_looks_for_it(
    pair: tuple[socket.socket, socket.socket], keys: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vms.terminal._LOOK", 86_400.0)
    keys(b"")
    session = connect(pair[0], Relay(pair[1]))
    assert attach(session, "uname", "6.1.0", terminal=False) == 3
    session.close()


def test_more_input_than_a_channel_holds_comes_back_while_it_is_sent(
    pair: tuple[socket.socket, socket.socket], keys: Type, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    text = bytes(range(256)) * (40 << 10)  # 10 MiB
    keys(text)
    session = connect(pair[0], Relay(pair[1]))
    assert attach(session, "cat", "6.1.0", terminal=False) == 3
    assert capfdbinary.readouterr().out == text + b"out:cat"
    session.close()


def test_a_command_may_end_without_reading_its_input(
    pair: tuple[socket.socket, socket.socket], keys: Type, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    keys(bytes(10 << 20))
    session = connect(pair[0], Relay(pair[1]))
    assert attach(session, "uname", "6.1.0", terminal=False) == 3
    assert capfdbinary.readouterr().out == b"out:uname"
    session.close()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The keyboard's end of this process's terminal, of 90 columns and 30 rows."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    with os.fdopen(slave, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield master
    os.close(master)


class Shown(io.BytesIO):
    """A standard output that others can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = self
        self._changed = threading.Condition()

    def write(self, data: Any) -> int:
        with self._changed:
            written = super().write(data)
            self._changed.notify_all()
        return written

    def wait_for(self, text: bytes) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: text in self.getvalue(), 60)


def until_raw(terminal: int) -> None:
    end = time.monotonic() + 60
    while termios.tcgetattr(terminal)[3] & (termios.ICANON | termios.ECHO | termios.ISIG):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_terminal_is_raw_during_a_session_and_its_size_follows(
    pair: tuple[socket.socket, socket.socket], terminal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Shown()
    monkeypatch.setattr(sys, "stdout", shown)
    failures: list[BaseException] = []

    def use() -> None:
        try:
            until_raw(terminal)
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
            signal.raise_signal(signal.SIGWINCH)
            os.write(terminal, b"\x03hello\x1d\x1d")
            shown.wait_for(b"\x03hello\x1d\x1d")
        except BaseException as error:
            failures.append(error)
        os.write(terminal, b"\x1d" * 3)

    before = termios.tcgetattr(terminal)
    handler = signal.getsignal(signal.SIGWINCH)
    relay = Relay(pair[1])
    session = connect(pair[0], relay)
    threading.Thread(target=use).start()
    with pytest.raises(LostGuest, match=r"the session was left with Ctrl-\]"):
        attach(session, "cat", "6.1.0", terminal=True)
    assert not failures
    assert relay.sizes == [(90, 30), (120, 40)]
    assert termios.tcgetattr(terminal) == before
    assert signal.getsignal(signal.SIGWINCH) == handler
    session.close()


def test_a_terminal_that_hangs_up_ends_the_session(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = pty.openpty()

    def hang_up() -> None:
        until_raw(master)
        os.close(master)

    handler = signal.getsignal(signal.SIGWINCH)
    session = connect(pair[0], Relay(pair[1]))
    with os.fdopen(slave, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        threading.Thread(target=hang_up).start()
        with pytest.raises(KeyboardInterrupt):
            attach(session, "cat", "6.1.0", terminal=True)
    assert signal.getsignal(signal.SIGWINCH) == handler
    session.close()


def test_a_guest_that_goes_away_is_lost(pair: tuple[socket.socket, socket.socket], keys: Type) -> None:
    keys(b"")
    session = connect(pair[0], Relay(pair[1]))
    threading.Timer(0.3, pair[1].shutdown, [socket.SHUT_RDWR]).start()
    with pytest.raises(LostGuest, match=r"6\.1\.0: (the guest ended|SSH)"):
        attach(session, "sleep", "6.1.0", terminal=False)
    session.close()
