"""A guest that sends in a way that never ends: nothing, a trickle, a flood, one line or many."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WAYS = ("silence", "trickle", "flood", "newlines")
TRICKLE_SECONDS = 0.02
_FLOODS = {"flood": b"x" * 65536, "newlines": b"\n" * 65536}


def send_for_ever(send: Callable[[bytes], object], way: str, stop: threading.Event) -> None:
    """Calls `send` in this way until it fails or `stop` is set."""
    with contextlib.suppress(OSError, EOFError):
        while not stop.is_set():
            if way in _FLOODS:
                send(_FLOODS[way])
            else:
                if way == "trickle":
                    send(b"x")
                stop.wait(TRICKLE_SECONDS)


@contextmanager
def sending(port: socket.socket, way: str) -> Iterator[None]:
    """Sends in a thread of its own; the port is shut down at the end."""
    stop = threading.Event()
    thread = threading.Thread(target=send_for_ever, args=(port.sendall, way, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        with contextlib.suppress(OSError):
            port.shutdown(socket.SHUT_RDWR)
        thread.join()
