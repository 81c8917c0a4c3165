"""Connects this process's terminal, or whatever its standard streams are, with a command in a
guest.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator

import paramiko

from vms.deadline import Deadline
from vms.errors import LostGuest
from vms.ssh import Ssh

LEAVE = b"\x1d" * 3
"""What ends a session whose guest no longer answers: Ctrl-] three times."""

_LONGEST = 30 * 86_400.0  # seconds; a person ends a session
_MOST = 1 << 40  # bytes
_CHUNK = 32 << 10
_LOOK = 0.25  # seconds between two looks at whether the command has ended
_SOON = 0.02  # seconds between two such looks once its output has ended
_NO_STATUS = -1  # paramiko's, when the other end is gone


def attach(ssh: Ssh, command: str, what: str, *, terminal: bool) -> int:
    """Runs a command with this process's standard input, output and error, and returns its exit
    code, 128 and the signal's number if a signal ended it.

    With `terminal`, it gets a terminal of the same kind and size as this process's, which is in raw
    mode meanwhile, so that each key reaches the guest. Raises LostGuest if the guest goes away,
    KeyboardInterrupt if the terminal hangs up: of that only a process whose own terminal it is
    hears by SIGHUP.
    """
    deadline = Deadline(_LONGEST, f"the session in {what}")
    with ssh.opened(command, deadline, _MOST) as channel:
        if terminal:
            size = os.get_terminal_size(sys.stdin.fileno())
            channel.get_pty(os.environ.get("TERM", "vt100"), size.columns, size.lines)
        channel.exec_command(command)
        try:
            with _raw(channel) if terminal else contextlib.nullcontext():
                left = _relay(channel, deadline, terminal=terminal)
        except OSError as error:
            if error.errno != errno.EIO or not terminal:
                raise
            raise KeyboardInterrupt from None
        if left:
            raise LostGuest(f"{what}: the session was left with Ctrl-]")
        status = channel.recv_exit_status()
    if status == _NO_STATUS:
        raise LostGuest(f"{what}: the guest ended")
    return status


@contextlib.contextmanager
def _raw(channel: paramiko.Channel) -> Iterator[None]:
    """Sends each key to the guest, and every change of the terminal's size."""

    def resize(_number: int, _frame: object) -> None:
        size = os.get_terminal_size(descriptor)
        with contextlib.suppress(paramiko.SSHException, OSError):
            channel.resize_pty(size.columns, size.lines)

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    handler = signal.signal(signal.SIGWINCH, resize)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        with contextlib.suppress(termios.error):  # it hung up
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
        signal.signal(signal.SIGWINCH, handler)


def _relay(channel: paramiko.Channel, deadline: Deadline, *, terminal: bool) -> bool:
    """Copies both ways until the command has ended; True if the user left before."""
    descriptor = sys.stdin.fileno()
    reading = [channel, descriptor]
    typed, unsent = b"", b""
    while not deadline.expired:
        if channel.eof_received and not channel.recv_ready() and channel in reading:
            reading.remove(channel)  # it would always be ready
        if channel not in reading:
            channel.status_event.wait(_SOON)
        ended = channel.exit_status_ready()
        waits = _LOOK if channel in reading and not ended else 0
        ready, _, _ = select.select(reading if not unsent else reading[:-1], [], [], waits)
        if not _print(channel) and ended:
            return False
        if descriptor in ready:
            unsent = _read(descriptor, terminal=terminal)
            typed = (typed + unsent)[-len(LEAVE) :]
            if terminal and typed == LEAVE:
                return True
            if not unsent:
                reading.remove(descriptor)
                channel.shutdown_write()
        # Never waits: a command that prints before it reads on must be able to do so.
        if unsent and channel.send_ready():
            try:
                unsent = unsent[channel.send(unsent) :]
            except OSError:  # the command has ended without reading all
                reading.remove(descriptor)
                unsent = b""
    return False


def _read(descriptor: int, *, terminal: bool) -> bytes:
    """What was typed; empty at the end of the input, which no key of a raw terminal is: it hung
    up.
    """
    typed = os.read(descriptor, _CHUNK)
    if terminal and not typed:
        raise KeyboardInterrupt
    return typed


def _print(channel: paramiko.Channel) -> bool:
    """Copies what the command has printed; False if there was nothing."""
    output = channel.recv(_CHUNK) if channel.recv_ready() else b""
    errors = channel.recv_stderr(_CHUNK) if channel.recv_stderr_ready() else b""
    for stream, data in ((sys.stdout, output), (sys.stderr, errors)):
        if data:
            stream.buffer.write(data)
            stream.buffer.flush()
    return bool(output or errors)
