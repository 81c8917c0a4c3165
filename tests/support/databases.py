"""A PostgreSQL that lets its clients in and then says nothing."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SSL_REQUEST = struct.pack(">I", 80877103)
_LOGGED_IN = b"R" + struct.pack(">II", 8, 0)
_READY = b"Z" + struct.pack(">I", 5) + b"I"


class Server:
    """Its port on loopback; `asked` is set at the first query."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.asked = threading.Event()

    def serve(self) -> None:
        """Lets each client in until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if client.recv(4096)[4:8] == _SSL_REQUEST:
                client.sendall(b"N")
                client.recv(4096)
            client.sendall(_LOGGED_IN)
            for name, value in ((b"server_version", b"15.0"), (b"client_encoding", b"UTF8")):
                pair = name + b"\0" + value + b"\0"
                client.sendall(b"S" + struct.pack(">I", len(pair) + 4) + pair)
            client.sendall(_READY)
            while client.recv(65536):
                self.asked.set()


@contextmanager
def silent_server() -> Iterator[Server]:
    """Such a server, for the time of the `with`."""
    server = Server()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        thread.join()
