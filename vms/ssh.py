"""SSH into a guest over a virtio serial port instead of a network.

QEMU's end of the port is a socket in a private directory; at the guest's end a relay starts an sshd
(userland/.../relay.py). This process makes the keys: one for the run, and a pinned host key for
each session.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import logging
import os
import secrets
import socket
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from vms.deadline import Deadline
from vms.errors import HostError, LostGuest
from vms.wire import Spent, Wire

# Errors are raised; without a handler the library would also print them.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
_USER = "root"
_LOOK = 0.25  # seconds between two looks at whether a command that is silent has ended
_PIECE = 0.01  # seconds to wait for the rest of a line
_AGAIN = 0.5  # seconds after which the keys are sent to the relay again
_NO_LIMIT = 86_400.0  # seconds
_NO_STATUS = -1  # paramiko's message when the other end is gone
_CHUNK = 65536
_MOST_RECEIVED = 64 << 20  # bytes of a session; starting an agent takes some kB
_MOST_OUTPUT = 16 << 20  # bytes of a command


@dataclass(frozen=True)
class _Key:
    private: bytes
    public: bytes


@dataclass(frozen=True)
class Finished:
    """A command that ended: its exit status, and its output and errors interleaved."""

    status: int
    output: str


@dataclass(frozen=True)
class Attempt:
    """A command that may not have ended: its exit status, None if it was given up, its output and
    its errors. `flooded` says that it was given up because it printed too much, else its time was
    over.
    """

    status: int | None
    output: bytes
    errors: bytes
    flooded: bool = False


class Unreadable(HostError):
    """A file in the guest cannot be read, or is longer than it may be."""


class Ssh:
    """A session as root in the guest."""

    def __init__(
        self,
        connection: socket.socket,
        what: str,
        deadline: Deadline,
        broken: Callable[[], str] = lambda: "",
    ) -> None:
        """Opens the session on a connection to the guest's `ssh` port, which it takes over.

        A session ends with the deadline of the latest call, after 64 MiB from the guest, or once
        `broken` says why nothing more can be expected. Raises LostGuest.
        """
        self._what = what
        self._wire = Wire(connection, _MOST_RECEIVED, deadline, broken)
        host_key = _make_key()
        _greet(self._wire, what, host_key)
        self._transport = paramiko.Transport(self._wire)  # type: ignore[arg-type]
        # paramiko's own limits are too short for busy machines; the wire ends at the deadline.
        self._transport.banner_timeout = self._transport.handshake_timeout = _NO_LIMIT
        try:
            self._transport.start_client(timeout=_NO_LIMIT)
            self._check(host_key)
            private = paramiko.Ed25519Key.from_private_key(io.StringIO(_run_key().private.decode()))
            self._transport.auth_timeout = _NO_LIMIT
            self._transport.auth_publickey(_USER, private)
        except LostGuest:
            self.close()
            raise
        except Exception as error:  # paramiko raises many kinds of errors for unexpected bytes
            self.close()
            raise LostGuest(f"{what}: SSH: {self._why(error)} ({deadline.what})") from error
        except BaseException:
            self.close()
            raise

    def _check(self, host_key: _Key) -> None:
        if self._transport.get_remote_server_key().get_base64().encode() != host_key.public.split()[1]:
            raise LostGuest(f"{self._what}: the guest answers over SSH with a host key that it was not given")

    def run(self, command: str, deadline: Deadline, given: bytes = b"") -> Finished:
        """Runs a shell command in the guest to its end, with what is `given` as standard input.
        What it prints is read only afterwards.

        Raises LostGuest if it does not end in time or prints more than 16 MiB.
        """
        self._wire.deadline = deadline
        output = bytearray()
        try:
            with self._transport.open_session(timeout=_NO_LIMIT) as channel:
                channel.set_combine_stderr(True)
                channel.exec_command(command)
                # Both wait at most until the wire is spent: then paramiko closes the channel.
                with contextlib.suppress(OSError):  # the command has ended without reading all
                    channel.sendall(given)
                    channel.shutdown_write()
                while data := channel.recv(_CHUNK):
                    output += data
                    if len(output) > _MOST_OUTPUT or deadline.expired:
                        break
                else:
                    status = channel.recv_exit_status()
        except Exception as error:
            raise LostGuest(f"{self._what}: SSH: {self._why(error)} while running `{command}`") from error
        if len(output) > _MOST_OUTPUT:
            raise LostGuest(f"{self._what}: `{command}` printed more than {_MOST_OUTPUT >> 20} MiB")
        if deadline.expired:
            raise LostGuest(
                f"{self._what}: `{command}` did not end within {deadline.seconds:g} s ({deadline.what})"
            )
        if status == _NO_STATUS:
            why = self._wire.spent or "went away"
            raise LostGuest(f"{self._what}: SSH: {why} while running `{command}`")
        return Finished(status, output.decode(errors="replace"))

    def attempt(self, command: str, deadline: Deadline, most: int, after: Deadline) -> Attempt:
        """Runs a shell command that may run for ever or print without end, until it ends, the
        deadline passes, or it has printed more than `most` bytes.

        Processes that it leaves in the background are not waited for. The session can be used
        afterwards, until `after`. Raises LostGuest if the guest goes away.
        """
        self._wire.deadline = after
        output, errors = bytearray(), bytearray()
        try:
            with self._transport.open_session(timeout=_NO_LIMIT) as channel:
                channel.exec_command(command)
                channel.settimeout(_LOOK)
                while len(output) + len(errors) <= most and not deadline.expired:
                    ended = channel.exit_status_ready()
                    new = _output(channel)
                    errors += channel.recv_stderr(_CHUNK) if channel.recv_stderr_ready() else b""
                    output += new
                    if ended and not new and not channel.recv_stderr_ready():
                        break
                flooded = len(output) + len(errors) > most
                ended = channel.exit_status_ready() and not flooded
                status = channel.recv_exit_status() if ended else None
        except Exception as error:
            raise LostGuest(f"{self._what}: SSH: {self._why(error)} while running `{command}`") from error
        if status == _NO_STATUS:
            why = self._wire.spent or "went away"
            raise LostGuest(f"{self._what}: SSH: {why} while running `{command}`")
        return Attempt(status, bytes(output[:most]), bytes(errors[:most]), flooded)

    @contextlib.contextmanager
    def opened(self, command: str, deadline: Deadline, most: int) -> Iterator[paramiko.Channel]:
        """A channel on which a person's command is about to run: `exec_command` starts it, after
        `get_pty` if it shall have a terminal. From now on the session ends at this deadline, or
        after `most` bytes from the guest.

        Raises LostGuest if the guest goes away, in the context too.
        """
        self._wire.deadline = deadline
        self._wire.allow(most)
        try:
            with self._transport.open_session(timeout=_NO_LIMIT) as channel:
                yield channel
        except (paramiko.SSHException, EOFError) as error:
            raise LostGuest(f"{self._what}: SSH: {self._why(error)} while running `{command}`") from error

    def pull(self, source: str, most: int, deadline: Deadline) -> bytes:
        """The content of a file in the guest.

        Raises Unreadable if it cannot be read or has more than `most` bytes, LostGuest if the guest
        goes away.
        """
        self._wire.deadline = deadline
        try:
            with (
                paramiko.SFTPClient.from_transport(self._transport) as sftp,  # type: ignore[union-attr]
                sftp.open(source, "rb") as file,
            ):
                content = bytes(file.read(most + 1))
        except (FileNotFoundError, PermissionError) as error:
            raise Unreadable(f"{self._what}: {source} in the guest: {error.strerror}") from error
        except Exception as error:
            raise LostGuest(f"{self._what}: SFTP of {source}: {self._why(error)}") from error
        if len(content) > most:
            raise Unreadable(f"{self._what}: {source} in the guest has more than {most >> 20} MiB")
        return content

    def push(self, directory: Path, target: str, deadline: Deadline) -> None:
        """Copies a directory, without compiled bytecode, to the directory `target`, which is
        created.

        It is sent as one tar: with a hundred files, a message and its answer for each would take
        seconds under TCG.
        """
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(
                directory, arcname=".", filter=lambda info: None if "__pycache__" in info.name else info
            )
        self.push_packed(packed.getvalue(), target, deadline)

    def push_packed(self, packed: bytes, target: str, deadline: Deadline) -> None:
        """Unpacks a tar in the directory `target`, which is created; root owns what is in it.

        It is the standard input of one command: under TCG, SFTP would take a quarter of a second
        more.
        """
        unpack = f"mkdir -p {target} && tar --extract --no-same-owner --file - --directory {target}"
        unpacked = self.run(unpack, deadline, packed)
        if unpacked.status != 0:
            raise LostGuest(f"{self._what}: unpacking {target} in the guest failed: {unpacked.output}")

    def close(self) -> None:
        """Ends the session."""
        self._transport.close()

    def _why(self, error: Exception) -> str:
        """Why a call failed: paramiko's message, unless the wire is spent."""
        return self._wire.spent or str(error) or type(error).__name__


def _output(channel: paramiko.Channel) -> bytes:
    """What a command printed; empty if it printed nothing for a while."""
    try:
        if data := channel.recv(_CHUNK):
            return data
        channel.status_event.wait(_LOOK)  # it closed its output, and may still run
    except TimeoutError:
        pass
    return b""


def _greet(wire: Wire, what: str, host_key: _Key) -> None:
    """Sends the keys to the relay and waits until it is ready to start sshd.

    They are sent repeatedly: the first ones may reach the sshd of an earlier session, if the guest
    has not noticed yet that its host hung up.
    """
    session = secrets.token_hex(8).encode()
    encoded = (base64.b64encode(word) for word in (os.urandom(64), host_key.private, _run_key().public))
    hello = b" ".join((b"hello", session, repr(time.time()).encode(), *encoded)) + b"\n"
    ready = b"ready " + session + b"\n"
    heard = b""
    try:
        while ready not in heard:
            wire.settimeout(None)
            wire.sendall(hello)
            said_at = time.monotonic()
            wire.settimeout(_AGAIN)
            with contextlib.suppress(TimeoutError):
                while ready not in heard and time.monotonic() < said_at + _AGAIN:
                    heard = heard[-len(ready) :] + _some(wire.recv(_CHUNK))
        wire.settimeout(None)
        wire.sendall(b"go " + session + b"\n")
        _skip_to_banner(wire)
    except Spent as spent:
        raise LostGuest(f"{what}: its SSH port {spent}") from None
    except (OSError, EOFError) as error:
        raise LostGuest(f"{what}: its SSH port: {error} ({wire.deadline.what})") from error


def _skip_to_banner(wire: Wire) -> None:
    """Drops what arrives before sshd's first line: answers to repeated hellos.

    paramiko would take them for lines of a banner, and wait only two seconds for sshd's next one.
    """
    while not (waiting := _some(wire.peek(_CHUNK))).startswith(b"SSH-"):
        line, end, _ = waiting.partition(b"\n")
        if end:
            wire.recv(len(line) + 1)
        else:
            time.sleep(_PIECE)


def _some(data: bytes) -> bytes:
    if not data:
        raise EOFError("went away")
    return data


@functools.cache
def _run_key() -> _Key:
    return _make_key()


def _make_key() -> _Key:
    key = Ed25519PrivateKey.generate()
    return _Key(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    )
