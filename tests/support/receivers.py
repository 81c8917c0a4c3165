"""A web server on loopback that takes notifications and answers in ways that a test chooses."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Way = Callable[[socket.socket, threading.Event], object]
"""Answers a request on this connection; the event is set when the test ends."""


@dataclass(frozen=True)
class Request:
    """What was received: `PUT /path`, the headers by their names in lower case, the body."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Web:
    """The server's address, and all that it was sent."""

    url: str
    received: list[Request]


def answers(status: int, headers: str = "", body: bytes = b"") -> Way:
    """Answers with this status."""
    head = f"HTTP/1.1 {status} Words\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return lambda client, _stop: client.sendall(head.encode() + body)


@contextmanager
def web(*ways: Way) -> Iterator[Web]:
    """A server that answers each request in the next of these ways; the last serves all others."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = Web(f"http://127.0.0.1:{listener.getsockname()[1]}", [])
        stop = threading.Event()
        left = list(ways)

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    client, _ = listener.accept()
                    threading.Thread(target=answer, args=(client,), daemon=True).start()

        def answer(client: socket.socket) -> None:
            with contextlib.suppress(OSError), client, client.makefile("rb") as lines:
                line = lines.readline().decode().rpartition(" ")[0]
                headers = {}
                while (header := lines.readline().decode().strip()) and ":" in header:
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = lines.read(int(headers.get("content-length", "0")))
                served.received.append(Request(line, headers, body))
                way = left.pop(0) if len(left) > 1 else left[0]
                way(client, stop)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield served
        finally:
            stop.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
