from __future__ import annotations

import base64
import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from tests.support.floods import WAYS, send_for_ever
from vms import ssh
from vms.deadline import Deadline
from vms.errors import LostGuest
from vms.ssh import Ssh
from vms.wire import Wire


class Shell(paramiko.ServerInterface):
    """Lets our key in and runs nothing: each command prints itself and ends with status 3, except
    `sleep`, which never ends.
    """

    def __init__(self, authorized: bytes) -> None:
        self.authorized = authorized

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = username == "root" and key.get_base64().encode() == self.authorized.split()[1]
        return AUTH_SUCCESSFUL if known else AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def answer() -> None:
            if command == b"sleep":
                return
            channel.sendall(b"out:" + command)
            channel.sendall_stderr(b" err\xff")
            channel.send_exit_status(3)
            channel.close()

        threading.Timer(0.05, answer).start()
        return True


class Relay:
    """The guest's end of the port.

    `before` is sent ahead of its answer; `host_key` replaces the key it is given; sshd takes
    `seconds`.
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
        self.transport: paramiko.Transport | None = None

    def serve(self) -> None:
        self.hello = self.line().split()
        self.port.sendall(self.before + b"ready " + self.hello[1] + b"\n")
        while (line := self.line()).startswith(b"hello "):
            assert line.split() == self.hello  # it is repeated until it hears the answer
            self.port.sendall(b"ready " + self.hello[1] + b"\n")
        assert line.split() == [b"go", self.hello[1]]
        given, authorized = (base64.b64decode(word) for word in self.hello[4:])
        time.sleep(self.seconds)
        self.transport = paramiko.Transport(self.port)
        self.transport.add_server_key(
            self.host_key or paramiko.Ed25519Key.from_private_key(io.StringIO(given.decode()))
        )
        self.transport.start_server(event=threading.Event(), server=Shell(authorized))

    def line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self.port.recv(1)
        return line


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def soon(seconds: float = 10) -> Deadline:
    return Deadline(seconds, "it to boot")


def connect(ours: socket.socket, relay: Relay, first: threading.Thread | None = None) -> Ssh:
    def serve() -> None:
        if first:
            first.join()
        relay.serve()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        return Ssh(ours, "6.1.0", soon())
    finally:
        thread.join(10)
        if relay.transport:
            threading.Timer(1, relay.transport.close).start()


def test_a_command_gives_status_and_output(pair: tuple[socket.socket, socket.socket]) -> None:
    session = connect(pair[0], Relay(pair[1]))
    finished = session.run("uname", soon())
    assert finished.status == 3
    assert "out:uname" in finished.output
    assert "err\ufffd" in finished.output
    session.close()


def test_an_sshd_may_take_as_long_as_the_deadline_allows(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(paramiko.Transport):
        def __init__(self, connection: Wire) -> None:
            super().__init__(connection)  # type: ignore[arg-type]
            self.banner_timeout = self.handshake_timeout = 0.1

    monkeypatch.setattr(paramiko, "Transport", Impatient)
    session = connect(pair[0], Relay(pair[1], seconds=1.0))
    assert session.run("uname", soon()).status == 3
    session.close()


def test_left_over_bytes_of_an_earlier_session_are_skipped(pair: tuple[socket.socket, socket.socket]) -> None:
    session = connect(pair[0], Relay(pair[1], before=b"SSH-2.0-old\r\n\x00\xffready 0123\n"))
    assert session.run("x", soon()).status == 3
    session.close()


def test_a_relay_that_misses_the_first_words_is_told_again(pair: tuple[socket.socket, socket.socket]) -> None:
    relay = Relay(pair[1])
    first = threading.Thread(target=relay.line)  # an earlier session's sshd takes them
    first.start()
    session = connect(pair[0], relay, first)
    assert session.run("x", soon()).status == 3
    session.close()


def test_answers_to_further_words_are_not_taken_for_a_banner(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes] = []

    class Watching(paramiko.Transport):
        def __init__(self, connection: Wire) -> None:
            given.append(connection.peek(64))
            super().__init__(connection)  # type: ignore[arg-type]

    monkeypatch.setattr(paramiko, "Transport", Watching)

    def relay() -> None:
        session = pair[1].recv(65536).split()[1]
        pair[1].sendall(b"ready " + session + b"\n")
        while b"go " not in pair[1].recv(65536):
            pass
        pair[1].sendall(b"ready " + session + b"\nready " + session + b"\nSS")
        time.sleep(0.05)
        pair[1].sendall(b"H-2.0-late\r\n")
        time.sleep(0.2)
        pair[1].shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=relay)
    thread.start()
    with pytest.raises(LostGuest):
        Ssh(pair[0], "6.1.0", soon())
    thread.join()
    assert given == [b"SSH-2.0-late\r\n"]


def test_another_host_key_is_refused(pair: tuple[socket.socket, socket.socket]) -> None:
    stranger = paramiko.ECDSAKey.generate()
    with pytest.raises(LostGuest, match="with a host key that it was not given"):
        connect(pair[0], Relay(pair[1], host_key=stranger))


def test_every_session_has_a_host_key_and_entropy_of_its_own_and_the_time() -> None:
    hellos = []
    for _ in range(2):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            relay = Relay(theirs)
            connect(ours, relay).close()
            hellos.append(relay.hello)
    first, second = hellos
    assert abs(float(first[2]) - time.time()) < 30
    assert len(base64.b64decode(first[3])) >= 32
    assert first[3] != second[3]
    assert first[4] != second[4]
    assert first[5] == second[5]  # ours, of this run


def test_a_command_that_does_not_end_is_given_up(pair: tuple[socket.socket, socket.socket]) -> None:
    session = connect(pair[0], Relay(pair[1]))
    with pytest.raises(LostGuest, match=r"`sleep` did not end within 0\.4 s"):
        session.run("sleep", soon(0.4))
    session.close()


def test_a_port_that_does_not_answer(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(LostGuest, match=r"SSH port did not answer within 0\.2 s \(it to boot\)"):
        Ssh(pair[0], "6.1.0", soon(0.2))


def test_a_port_that_goes_away(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    with pytest.raises(LostGuest, match=r"6\.1\.0"):
        Ssh(pair[0], "6.1.0", soon())


def test_a_session_that_goes_away(pair: tuple[socket.socket, socket.socket]) -> None:
    relay = Relay(pair[1])
    session = connect(pair[0], relay)
    assert relay.transport
    relay.transport.close()
    with pytest.raises(LostGuest, match="while running `uname`"):
        session.run("uname", soon())
    session.close()


class Hostile(paramiko.ServerInterface):
    """Lets everybody in, but sends in a way that never ends from one phase of a session on."""

    def __init__(self, phase: str, way: str) -> None:
        self.phase = phase
        self.way = way
        self.stop = threading.Event()
        self.threads: list[threading.Thread] = []
        self.transport: paramiko.Transport | None = None

    def serve(self, port: socket.socket) -> None:
        """Plays the relay and then sshd, as far as the phase."""
        with contextlib.suppress(OSError):
            relay = Relay(port)
            relay.hello = relay.line().split()
            if self.phase == "greeting":
                return send_for_ever(port.sendall, self.way, self.stop)
            port.sendall(b"ready " + relay.hello[1] + b"\n")
            while not relay.line().startswith(b"go "):
                pass
            raw = {"banner": b"\n", "version": b"SSH-2.0-", "key exchange": b"SSH-2.0-x\r\n\x7f\xff\xff\xff"}
            if self.phase in raw:
                port.sendall(raw[self.phase])
                return send_for_ever(port.sendall, self.way, self.stop)
            key = io.StringIO(base64.b64decode(relay.hello[4]).decode())
            self.transport = paramiko.Transport(port)
            self.transport.add_server_key(paramiko.Ed25519Key.from_private_key(key))
            self.transport.start_server(event=threading.Event(), server=self)
        return None

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        if self.phase == "login":
            send_for_ever(self._ignored, self.way, self.stop)
        return AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._begin(self._ignored if self.phase == "command" else self._on(channel))
        return True

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        self._begin(self._on(channel))
        return True

    def close(self) -> None:
        """Ends all its threads."""
        self.stop.set()
        if self.transport:
            self.transport.close()
        for thread in self.threads:
            thread.join()

    def _begin(self, send: Callable[[bytes], object]) -> None:
        self.threads.append(threading.Thread(target=send_for_ever, args=(send, self.way, self.stop)))
        self.threads[-1].start()

    def _ignored(self, data: bytes) -> None:
        assert self.transport
        if not self.transport.is_active():
            raise EOFError
        self.transport.send_ignore(min(len(data), 1 << 15))

    def _on(self, channel: paramiko.Channel) -> Callable[[bytes], object]:
        def send(data: bytes) -> None:
            channel.out_window_size = 1 << 30  # whatever the host granted
            channel.sendall(data)

        time.sleep(0.1)  # what comes before the host knows the channel would be dropped
        return send


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def hostile(port: socket.socket, phase: str, way: str) -> Iterator[None]:
    guest = Hostile(phase, way)
    thread = threading.Thread(target=guest.serve, args=(port,))
    thread.start()
    began = time.monotonic()
    try:
        yield
        assert time.monotonic() - began < 30
    finally:
        guest.stop.set()
        with contextlib.suppress(OSError):
            port.shutdown(socket.SHUT_RDWR)
        thread.join()
        guest.close()


@pytest.mark.parametrize("phase", ["greeting", "banner", "version", "key exchange", "login"])
def test_opening_a_session_ends_at_its_deadline_whatever_arrives(
    pair: tuple[socket.socket, socket.socket], phase: str, way: str
) -> None:
    with hostile(pair[1], phase, way), pytest.raises(LostGuest, match=r"6\.1\.0: .*\(it to boot\)"):
        Ssh(pair[0], "6.1.0", soon(1))


@pytest.mark.parametrize("phase", ["command", "output"])
def test_a_command_ends_at_its_deadline_or_its_most_bytes_whatever_arrives(
    pair: tuple[socket.socket, socket.socket], phase: str, way: str
) -> None:
    with hostile(pair[1], phase, way), pytest.raises(LostGuest, match=r"`true`"):
        Ssh(pair[0], "6.1.0", soon()).run("true", soon(1))


def test_pushing_ends_at_its_deadline_whatever_arrives(
    pair: tuple[socket.socket, socket.socket], way: str, tmp_path: Path
) -> None:
    with hostile(pair[1], "push", way), pytest.raises(LostGuest, match="SFTP of"):
        Ssh(pair[0], "6.1.0", soon()).push(tmp_path, "/run/x", soon(1))


def test_a_session_ends_after_its_most_bytes(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_MOST_RECEIVED", 1 << 20)
    with (
        hostile(pair[1], "command", "flood"),
        pytest.raises(LostGuest, match=r"SSH: sent more than 1 MiB \(.*\) while running `true`"),
    ):
        Ssh(pair[0], "6.1.0", soon()).run("true", soon(30))


def test_the_output_of_a_command_is_bounded(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_MOST_OUTPUT", 1 << 20)
    with (
        hostile(pair[1], "output", "flood"),
        pytest.raises(LostGuest, match="`true` printed more than 1 MiB"),
    ):
        Ssh(pair[0], "6.1.0", soon()).run("true", soon(30))
