"""A mirror that sends more than the archive signed, or so slowly that it never ends."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vms.deadline import Deadline
from vms.errors import FetchError, HostError
from vms.kernels.apt import download
from vms.kernels.host_apt import HostApt
from vms.kernels.kernel import Package

pytestmark = pytest.mark.slow

_MIB = 1 << 20
_SENT = 64  # MiB, if the client takes them
_IN_FLIGHT = 16 * _MIB  # what the sockets' buffers may hold


class Mirror:
    """Its port on loopback, the headers that it sends, and how many bytes followed them."""

    def __init__(self, headers: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.headers = headers
        # A chunk is its length in hexadecimal digits, a line break, its bytes, a line break.
        self.piece = b"100000\r\n" + bytes(_MIB) + b"\r\n" if b"chunked" in headers else bytes(_MIB)
        self.sent = 0

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with contextlib.suppress(OSError), client:
                    client.recv(4096)
                    client.sendall(b"HTTP/1.1 200 OK\r\n" + self.headers + b"Connection: close\r\n\r\n")
                    self.send(client)

    def send(self, client: socket.socket) -> None:
        for _ in range(_SENT):
            client.sendall(self.piece)
            self.sent += _MIB


class SlowMirror(Mirror):
    """One that sends a byte now and then, which no timeout for silence ends."""

    def send(self, client: socket.socket) -> None:
        while True:
            client.sendall(b"x")
            self.sent += 1
            time.sleep(0.1)


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """apt asks without the host's proxy."""
    monkeypatch.setattr("vms.kernels.apt.host_apt", lambda: HostApt("", "", True, ()))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


@contextlib.contextmanager
def serving(mirror: Mirror) -> Iterator[Mirror]:
    thread = threading.Thread(target=mirror.serve, daemon=True)
    thread.start()
    yield mirror
    mirror.listener.shutdown(socket.SHUT_RDWR)
    mirror.listener.close()
    thread.join()


def package_of(mirror: Mirror, size: int) -> Package:
    return Package("linux-image-x", "1", "0" * 64, size, f"http://127.0.0.1:{mirror.port}/x.deb")


@pytest.mark.fault(
    phase="download", fault="mirror sends without end", outcome="ends after the signed size; nothing is kept"
)
@pytest.mark.parametrize(
    "headers",
    [b"Transfer-Encoding: chunked\r\n", b"Content-Length: 900000000000\r\n"],
    ids=["chunks", "a huge length"],
)
def test_no_more_is_taken_than_was_signed_and_nothing_is_kept(headers: bytes, tmp_path: Path) -> None:
    with serving(Mirror(headers)) as mirror:
        with pytest.raises(FetchError, match="what the mirror sent is not what was signed"):
            download(package_of(mirror, 1000), tmp_path / "package")
        assert mirror.sent < _IN_FLIGHT
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size] == []


@pytest.mark.fault(phase="download", fault="mirror slow", outcome="an error at the deadline")
def test_a_mirror_that_never_ends_is_given_up_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vms.kernels.apt.Deadline", lambda _seconds, what: Deadline(2, what))
    with serving(SlowMirror(b"Content-Length: 1000\r\n")) as mirror:
        with pytest.raises(HostError, match="did not finish within 2 s"):
            download(package_of(mirror, 1000), tmp_path / "package")
        assert mirror.sent
