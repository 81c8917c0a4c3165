"""A mirror that sends more than the archive signed."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vms.errors import FetchError
from vms.kernels.apt import download
from vms.kernels.host_apt import HostApt
from vms.kernels.kernel import Package

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
                    for _ in range(_SENT):
                        client.sendall(self.piece)
                        self.sent += _MIB


@pytest.fixture(
    params=[b"Transfer-Encoding: chunked\r\n", b"Content-Length: 900000000000\r\n"],
    ids=["chunks", "a huge length"],
)
def mirror(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setattr("vms.kernels.apt.host_apt", lambda: HostApt("", "", True, ()))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Mirror(request.param)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    yield made
    made.listener.shutdown(socket.SHUT_RDWR)
    made.listener.close()
    thread.join()


@pytest.mark.fault(
    phase="download", fault="mirror sends without end", outcome="ends after the signed size; nothing is kept"
)
def test_no_more_is_taken_than_was_signed_and_nothing_is_kept(mirror: Mirror, tmp_path: Path) -> None:
    package = Package("linux-image-x", "1", "0" * 64, 1000, f"http://127.0.0.1:{mirror.port}/x.deb")
    with pytest.raises(FetchError, match="what the mirror sent is not what was signed"):
        download(package, tmp_path / "package")
    assert mirror.sent < _IN_FLIGHT
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size] == []
