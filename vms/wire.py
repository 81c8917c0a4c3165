"""A connection to a guest that ends at a deadline or after a number of bytes, whatever arrives.

A socket's own timeout is only for silence: a guest that never stops sending never reaches it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Never, TypeVar

from vms.deadline import Deadline

_SLICE = 0.25  # seconds between two looks at the deadline, which an interrupt moves
_SHORTEST = 0.001  # a socket's timeout of 0 would mean that it does not wait at all


T = TypeVar("T")


class Spent(EOFError):
    """The deadline of a wire has passed, or the guest sent more than it may.

    Not an OSError: paramiko takes that for a reason to try again.
    """


class Wire:
    """A socket of which at most `most` bytes are read, and nothing after its deadline.

    paramiko takes it as its socket. `deadline` may be replaced while another thread reads. Once
    the wire is spent, `spent` says why and every further call raises Spent. So it is once `broken`
    says why nothing more can be expected, which it is asked a few times a second.
    """

    def __init__(
        self,
        connection: socket.socket,
        most: int,
        deadline: Deadline,
        broken: Callable[[], str] = lambda: "",
    ) -> None:
        self._connection = connection
        self._most = self._left = most
        self._timeout: float | None = None
        self._broken = broken
        self.deadline = deadline
        self.spent = ""

    def allow(self, most: int) -> None:
        """Lets `most` bytes be read from now on."""
        self._most = self._left = most

    @property
    def _closed(self) -> bool:
        """Whether the socket is closed, under the name that paramiko looks for."""
        return self._connection.fileno() < 0

    def settimeout(self, seconds: float | None) -> None:
        """Sets how long a call waits before TimeoutError; None waits until the deadline."""
        self._timeout = seconds

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes, b"" at the end of the connection.

        Raises Spent, or TimeoutError after the timeout that was set.
        """
        # One byte more than is left tells a guest that sent too much from one that is done.
        data = self._call(lambda: self._connection.recv(min(size, self._left + 1)), "did not answer")
        self._left -= len(data)
        if self._left < 0:
            self._end(f"sent more than {self._most >> 20} MiB")
        return data

    def peek(self, size: int) -> bytes:
        """What `recv` would return; it stays to be read."""
        return self._call(lambda: self._connection.recv(size, socket.MSG_PEEK), "did not answer")

    def send(self, data: bytes | memoryview) -> int:
        """Sends some of the data and returns how many bytes that was.

        Raises Spent, or TimeoutError after the timeout that was set.
        """
        return self._call(lambda: self._connection.send(data), "did not read what it was sent")

    def sendall(self, data: bytes) -> None:
        """Sends all the data; raises what `send` raises."""
        left = memoryview(data)
        while left:
            left = left[self.send(left) :]

    def close(self) -> None:
        """Closes the socket."""
        self._connection.close()

    def _call(self, call: Callable[[], T], missed: str) -> T:
        end = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            if self.spent or self.deadline.expired:
                self._end(f"{missed} within {self.deadline.seconds:g} s")
            waits = min(_SLICE, self.deadline.remaining)
            if end is not None:
                waits = min(waits, end - time.monotonic())
            self._connection.settimeout(max(_SHORTEST, waits))
            try:
                return call()
            except TimeoutError:
                if broken := self._broken():
                    self._end(broken)
                if end is not None and time.monotonic() >= end:
                    raise

    def _end(self, why: str) -> Never:
        self.spent = self.spent or f"{why} ({self.deadline.what})"
        raise Spent(self.spent)
