"""SSH sessions with a guest that sends for ever."""

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
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from tests.support.floods import WAYS, send_for_ever
from tests.support.ssh import Relay, soon
from vms import ssh
from vms.errors import LostGuest
from vms.ssh import Ssh

pytestmark = pytest.mark.slow


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
@pytest.mark.fault(phase="boot", fault="guest floods", outcome="opening a session ends at its deadline")
def test_opening_a_session_ends_at_its_deadline_whatever_arrives(
    pair: tuple[socket.socket, socket.socket], phase: str, way: str
) -> None:
    with hostile(pair[1], phase, way), pytest.raises(LostGuest, match=r"6\.1\.0: .*\(it to boot\)"):
        Ssh(pair[0], "6.1.0", soon(1))


@pytest.mark.parametrize("phase", ["command", "output"])
@pytest.mark.fault(phase="boot", fault="guest floods", outcome="a command ends at its deadline or most bytes")
def test_a_command_ends_at_its_deadline_or_its_most_bytes_whatever_arrives(
    pair: tuple[socket.socket, socket.socket], phase: str, way: str
) -> None:
    with hostile(pair[1], phase, way), pytest.raises(LostGuest, match=r"`true`"):
        Ssh(pair[0], "6.1.0", soon()).run("true", soon(1))


@pytest.mark.fault(phase="boot", fault="guest floods", outcome="pushing ends at its deadline")
def test_pushing_ends_at_its_deadline_whatever_arrives(
    pair: tuple[socket.socket, socket.socket], way: str, tmp_path: Path
) -> None:
    with hostile(pair[1], "push", way), pytest.raises(LostGuest, match="tar --extract"):
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
