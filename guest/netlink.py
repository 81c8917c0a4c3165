"""Netlink in a few lines: messages, attributes, dumps, and the kernel's message when it refuses.

Programs such as ip and conntrack cost 0.1 s each to start in an emulated guest; the same question
over a netlink socket costs a millisecond. Source: netlink(7), include/uapi/linux/netlink.h and
nfnetlink.h.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from guest.linux import WAIT_SECONDS

ROUTE = 0
NETFILTER = 12

REQUEST, MULTI, ACK, DUMP, CREATE, EXCL = 0x1, 0x2, 0x4, 0x300, 0x400, 0x200
_ERROR, _DONE = 2, 3
_BATCH_BEGIN, _BATCH_END = 16, 17
_CAPPED, _ACK_TLVS = 0x100, 0x200
_EXT_ACK_TEXT = 1
_SOL_NETLINK, _OPT_CAP_ACK, _OPT_EXT_ACK = 270, 10, 11
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
_HEADER = struct.Struct("=HH")

Attributes = dict[int, bytes]


class Malformed(ValueError):
    """What the kernel or one of its tools printed has not the form that it should have."""


@dataclass(frozen=True)
class Message:
    """One message of an answer: its type, its flags and everything behind the netlink header."""

    type: int
    flags: int
    payload: bytes


def attribute(kind: int, value: bytes | str | int) -> bytes:
    """One attribute, padded.

    An int is a u32 in the host's byte order, as rtnetlink has it; a str ends in NUL.
    """
    if isinstance(value, int):
        value = struct.pack("=I", value)
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute made of attributes."""
    return attribute(kind | _NESTED, b"".join(attributes))


def attributes(data: bytes) -> Attributes:
    """Type to value for a row of attributes. Where a type repeats, the last one stays."""
    found = {}
    offset, end = 0, len(data) - 4
    while offset <= end:
        length, kind = _HEADER.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def messages(data: bytes) -> Iterator[tuple[int, Message]]:
    """The messages in what one read of a socket returned, each with its sequence number.

    Raises Malformed for one that is shorter than its header.
    """
    offset = 0
    while offset + 16 <= len(data):
        length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data, offset)
        if length < 16:
            raise Malformed(f"a netlink message has {length} bytes, fewer than its header")
        yield sequence, Message(kind, flags, data[offset + 16 : offset + length])
        offset += (length + 3) & ~3


class Netlink:
    """A netlink socket in the network namespace where it was made; it stays there when the process
    moves on.
    """

    def __init__(self, protocol: int, *, groups: int = 0, receive_buffer: int = 0) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.setsockopt(_SOL_NETLINK, _OPT_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _OPT_EXT_ACK, 1)
        self._socket.bind((0, groups))
        self._sequence = 0

    def close(self) -> None:
        """Closes the socket, and with it whatever it is subscribed or bound to."""
        self._socket.close()

    def ask(self, kind: int, payload: bytes, flags: int = ACK) -> list[Message]:
        """Sends one request and returns the messages of its answer.

        Raises OSError with the kernel's errno and, where it gave one, its explanation; TimeoutError
        if no answer comes.
        """
        self.send(kind, payload, flags)
        messages: list[Message] = []
        for sequence, message in self._receive(WAIT_SECONDS):
            if sequence != self._sequence:
                continue
            if message.type == _ERROR:
                _raise_refusal(message)
                return messages
            if message.type == _DONE:
                _raise_dump_error(message.payload)
                return messages
            messages.append(message)
            if not message.flags & MULTI and not flags & ACK:
                return messages
        raise TimeoutError(f"netlink request {kind:#x} had no answer within {WAIT_SECONDS:g} s")

    def send(self, kind: int, payload: bytes, flags: int = 0) -> None:
        """Sends one request and does not wait for an answer."""
        self._socket.send(self._request(kind, payload, flags))

    def transact(self, subsystem: int, requests: Sequence[tuple[int, bytes, int]]) -> list[int]:
        """Sends requests (type, payload, flags) to a subsystem of nfnetlink as one transaction, of
        which all take effect or none; returns the errno of each, 0 for one that was not refused.

        Raises TimeoutError if one has no answer.
        """
        head = struct.pack(">BBH", 0, 0, subsystem)
        first = self._sequence + 2
        rows = [(_BATCH_BEGIN, head, 0)]
        rows += [(subsystem << 8 | kind, payload, flags | ACK) for kind, payload, flags in requests]
        rows += [(_BATCH_END, head, 0)]
        self._socket.send(b"".join(self._request(*row) for row in rows))
        answers: dict[int, int] = {}
        for sequence, message in self._receive(WAIT_SECONDS):
            if message.type == _ERROR and 0 <= sequence - first < len(requests):
                answers[sequence - first] = -struct.unpack_from("=i", message.payload)[0]
            if len(answers) == len(requests):
                return [answers[place] for place in range(len(requests))]
        raise TimeoutError(f"a netlink transaction had no answer within {WAIT_SECONDS:g} s")

    def _request(self, kind: int, payload: bytes, flags: int) -> bytes:
        self._sequence += 1
        header = struct.pack("=IHHII", len(payload) + 16, kind, flags | REQUEST, self._sequence, 0)
        return header + payload + bytes(-len(payload) % 4)

    def events(self, seconds: float = 0.0) -> Iterator[Message]:
        """Messages that are no answer to a request; ends when nothing more comes within `seconds`.

        ENOBUFS (messages lost) is raised.
        """
        for _, message in self._receive(seconds):
            yield message

    def _receive(self, seconds: float) -> Iterator[tuple[int, Message]]:
        end = time.monotonic() + seconds
        while select.select([self._socket], [], [], max(0.0, end - time.monotonic()))[0]:
            yield from messages(self._socket.recv(1 << 20))


def _raise_refusal(message: Message) -> None:
    payload = message.payload
    (number,) = struct.unpack_from("=i", payload)
    if number == 0:
        return
    reason = os.strerror(-number)
    if message.flags & _ACK_TLVS:
        # After the errno comes the header of the request, and the whole request unless the kernel
        # capped it.
        (length,) = struct.unpack_from("=I", payload, 4)
        skip = 4 + (16 if message.flags & _CAPPED else (length + 3) & ~3)
        text = attributes(payload[skip:]).get(_EXT_ACK_TEXT)
        if text:
            reason += f" ({text.rstrip(bytes(1)).decode(errors='replace')})"
    raise OSError(-number, reason)


def _raise_dump_error(payload: bytes) -> None:
    if len(payload) >= 4:
        (number,) = struct.unpack_from("=i", payload)
        if number < 0:
            raise OSError(-number, os.strerror(-number))
