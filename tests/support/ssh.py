"""An SSH server at the guest's end of a socket pair."""

from __future__ import annotations

import base64
import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from vms.deadline import Deadline
from vms.ssh import Ssh


class Shell(paramiko.ServerInterface):
    """Lets our key in and runs nothing: each command prints itself and ends with status 3, except
    `sleep`, which never ends, `flood`, which prints without end, `background`, which ends and keeps
    its output open, and `cat`, which prints its input.
    """

    def __init__(
        self, authorized: bytes, sizes: list[tuple[int, int]], begin: Callable[[Callable[[], None]], None]
    ) -> None:
        self.authorized = authorized
        self.sizes = sizes
        self.begin = begin

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = username == "root" and key.get_base64().encode() == self.authorized.split()[1]
        return AUTH_SUCCESSFUL if known else AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_pty_request(
        self,
        channel: paramiko.Channel,
        term: bytes,
        width: int,
        height: int,
        pixelwidth: int,
        pixelheight: int,
        modes: bytes,
    ) -> bool:
        self.sizes.append((width, height))
        return True

    def check_channel_window_change_request(
        self, channel: paramiko.Channel, width: int, height: int, pixelwidth: int, pixelheight: int
    ) -> bool:
        self.sizes.append((width, height))
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def answer() -> None:
            if command == b"sleep":
                return
            # The other side may hang up as soon as it has the status, or before.
            with contextlib.suppress(EOFError, OSError):
                while command == b"flood":
                    channel.sendall(bytes(1 << 15))
                while command == b"cat" and (data := channel.recv(1 << 15)):
                    channel.sendall(data)
                if command == b"background":
                    channel.sendall(b"started")
                    channel.send_exit_status(0)
                    return
                channel.sendall(b"out:" + command)
                channel.sendall_stderr(b" err\xff")
                channel.send_exit_status(3)
                channel.close()

        self.begin(answer)
        return True


class Sshd(paramiko.Transport):
    """The guest's end of a session, in which a command begins once the host was told that it
    does: a channel that is closed before would be a failure to the host.
    """

    def __init__(self, port: socket.socket) -> None:
        super().__init__(port)
        self._commands: list[Callable[[], None]] = []

    def begin(self, command: Callable[[], None]) -> None:
        self._commands.append(command)

    def _send_user_message(self, data: paramiko.Message) -> None:
        super()._send_user_message(data)  # type: ignore[misc]
        while self._commands:
            threading.Thread(target=self._commands.pop(), daemon=True).start()


class Relay:
    """The guest's end of the port.

    `before` is sent ahead of its answer; `host_key` replaces the key it is given; sshd takes
    `seconds`. `sizes` are the columns and rows that a terminal had, one after the other.
    """

    def __init__(
        self,
        port: socket.socket,
        before: bytes = b"",
        host_key: paramiko.PKey | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.port = port
        self.before = before
        self.host_key = host_key
        self.seconds = seconds
        self.hello: list[bytes] = []
        self.sizes: list[tuple[int, int]] = []
        self.transport: Sshd | None = None

    def serve(self) -> None:
        self.hello = self.line().split()
        self.port.sendall(self.before + b"ready " + self.hello[1] + b"\n")
        while (line := self.line()).startswith(b"hello "):
            assert line.split() == self.hello  # it is repeated until it hears the answer
            self.port.sendall(b"ready " + self.hello[1] + b"\n")
        assert line.split() == [b"go", self.hello[1]]
        given, authorized = (base64.b64decode(word) for word in self.hello[4:])
        time.sleep(self.seconds)
        self.transport = Sshd(self.port)
        self.transport.add_server_key(
            self.host_key or paramiko.Ed25519Key.from_private_key(io.StringIO(given.decode()))
        )
        self.transport.start_server(
            event=threading.Event(), server=Shell(authorized, self.sizes, self.transport.begin)
        )

    def line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = self.port.recv(1)
            if not byte:
                raise ConnectionResetError("the host hung up")
            line += byte
        return line


def soon(seconds: float = 60) -> Deadline:
    return Deadline(seconds, "it to boot")


def connect(ours: socket.socket, relay: Relay, first: threading.Thread | None = None) -> Ssh:
    def serve() -> None:
        if first:
            first.join()
        # A host that hangs up while it is greeted says why itself.
        with contextlib.suppress(ConnectionError):
            relay.serve()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        return Ssh(ours, "6.1.0", soon())
    except BaseException:
        thread.join(10)
        if relay.transport:
            threading.Timer(1, relay.transport.close).start()
        raise
