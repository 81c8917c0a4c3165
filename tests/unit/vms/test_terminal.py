from __future__ import annotations

import fcntl
import os
import pty
import signal
import socket
import struct
import sys
import termios
import threading
from collections.abc import Callable, Iterator

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
            with os.fdopen(writing, "wb") as stream:
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


def test_more_input_than_a_channel_holds_comes_back_while_it_is_sent(
    pair: tuple[socket.socket, socket.socket], keys: Type, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    text = bytes(range(256)) * (40 << 10)  # 10 MiB
    keys(text)
    session = connect(pair[0], Relay(pair[1]))
    assert attach(session, "cat", "6.1.0", terminal=False) == 3
    assert capfdbinary.readouterr().out == text + b"out:cat"
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


def later(action: Callable[[], object]) -> threading.Thread:
    """Runs the action while a session is attached."""
    thread = threading.Timer(0.5, action)
    thread.start()
    return thread


def test_a_terminal_is_raw_during_a_session_and_its_size_follows(
    pair: tuple[socket.socket, socket.socket], terminal: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    raw: list[bool] = []

    def use() -> None:
        raw.append(not termios.tcgetattr(terminal)[3] & (termios.ICANON | termios.ECHO | termios.ISIG))
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        signal.raise_signal(signal.SIGWINCH)
        os.write(terminal, b"\x03hello\x1d\x1d")
        threading.Timer(0.5, os.write, (terminal, b"\x1d")).start()

    before = termios.tcgetattr(terminal)
    handler = signal.getsignal(signal.SIGWINCH)
    relay = Relay(pair[1])
    session = connect(pair[0], relay)
    later(use)
    with pytest.raises(LostGuest, match=r"the session was left with Ctrl-\]"):
        attach(session, "cat", "6.1.0", terminal=True)
    assert raw == [True]
    assert relay.sizes == [(90, 30), (120, 40)]
    assert capfdbinary.readouterr().out == b"\x03hello\x1d\x1d"
    assert termios.tcgetattr(terminal) == before
    assert signal.getsignal(signal.SIGWINCH) == handler
    session.close()


def test_a_guest_that_goes_away_is_lost(pair: tuple[socket.socket, socket.socket], keys: Type) -> None:
    keys(b"")
    session = connect(pair[0], Relay(pair[1]))
    threading.Timer(0.3, pair[1].shutdown, [socket.SHUT_RDWR]).start()
    with pytest.raises(LostGuest, match=r"6\.1\.0: the guest ended"):
        attach(session, "sleep", "6.1.0", terminal=False)
    session.close()
