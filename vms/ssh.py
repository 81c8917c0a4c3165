"""SSH into a guest, over a virtio serial port instead of a network.

QEMU's end of the port is a socket in a private directory, the guest's end a relay that starts an
sshd for us (userland/.../relay.py). The keys are ours: one for this run, and a host key made for
each session and pinned.
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
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from vms.deadline import Deadline
from vms.errors import LostGuest

# What goes wrong is raised; without a handler of its own the library would print it as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
_USER = "root"
_SLICE = 0.25  # seconds between two looks at the deadline
_PIECE = 0.01  # seconds to wait for the rest of a line
_AGAIN = 0.5  # seconds after which the relay is spoken to again
_NO_STATUS = -1  # what paramiko says when the other end is gone
_CHUNK = 65536


@dataclass(frozen=True)
class _Key:
    private: bytes
    public: bytes


@dataclass(frozen=True)
class Finished:
    """A command that ended: its exit status, and its output and errors together."""

    status: int
    output: str


class Ssh:
    """A session as the guest's root."""

    def __init__(self, connection: socket.socket, what: str, deadline: Deadline) -> None:
        """Opens the session on a connection to the guest's `ssh` port, which it takes over.

        Raises LostGuest.
        """
        self._what = what
        host_key = _make_key()
        _greet(connection, what, host_key, deadline)
        self._transport = paramiko.Transport(connection)
        # Its own limits are made for idle machines; the deadline is the only one.
        self._transport.banner_timeout = self._transport.handshake_timeout = deadline.remaining
        try:
            self._transport.start_client(timeout=deadline.remaining)
            self._check(host_key)
            private = paramiko.Ed25519Key.from_private_key(io.StringIO(_run_key().private.decode()))
            self._transport.auth_timeout = deadline.remaining
            self._transport.auth_publickey(_USER, private)
        except (paramiko.SSHException, EOFError, OSError) as error:
            self.close()
            raise LostGuest(f"{what}: SSH: {error or type(error).__name__} ({deadline.what})") from error
        except BaseException:
            self.close()
            raise

    def _check(self, host_key: _Key) -> None:
        if self._transport.get_remote_server_key().get_base64().encode() != host_key.public.split()[1]:
            raise LostGuest(f"{self._what}: another host key than the one we gave it answers over SSH")

    def run(self, command: str, deadline: Deadline) -> Finished:
        """Runs a command of the guest's shell to its end.

        Raises LostGuest if that does not come in time.
        """
        try:
            with self._transport.open_session(timeout=deadline.remaining) as channel:
                channel.set_combine_stderr(True)
                channel.exec_command(command)
                output = b""
                while True:
                    channel.settimeout(min(_SLICE, deadline.remaining))
                    try:
                        data = channel.recv(_CHUNK)
                    except TimeoutError:
                        if deadline.expired:
                            raise LostGuest(
                                f"{self._what}: `{command}` did not end within {deadline.seconds:g} s"
                                f" ({deadline.what})"
                            ) from None
                        continue
                    if not data:
                        break
                    output += data
                status = channel.recv_exit_status()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise LostGuest(
                f"{self._what}: SSH: {error or type(error).__name__} while running `{command}`"
            ) from error
        if status == _NO_STATUS:
            raise LostGuest(f"{self._what}: SSH: went away while running `{command}`")
        return Finished(status, output.decode(errors="replace"))

    def push(self, directory: Path, target: str, deadline: Deadline) -> None:
        """Copies a directory with all below it, except compiled bytecode, to the directory
        `target`, which is made.

        It goes as one file over SFTP: for a hundred files, a message to and fro for each would cost
        seconds under TCG.
        """
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(
                directory, arcname=".", filter=lambda info: None if "__pycache__" in info.name else info
            )
        try:
            with paramiko.SFTPClient.from_transport(self._transport) as sftp:  # type: ignore[union-attr]
                sftp.get_channel().settimeout(deadline.remaining)  # type: ignore[union-attr]
                with sftp.open("/run/pushed.tar", "w") as file:
                    file.set_pipelined(True)
                    file.write(packed.getvalue())
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise LostGuest(f"{self._what}: SFTP of {directory}: {error or type(error).__name__}") from error
        unpacked = self.run(
            f"mkdir -p {target} && tar --extract --no-same-owner --file /run/pushed.tar --directory {target}"
            " && rm /run/pushed.tar",
            deadline,
        )
        if unpacked.status != 0:
            raise LostGuest(
                f"{self._what}: unpacking {directory.name} in the guest failed: {unpacked.output}"
            )

    def close(self) -> None:
        """Ends the session."""
        self._transport.close()


def _greet(connection: socket.socket, what: str, host_key: _Key, deadline: Deadline) -> None:
    """Gives the relay the keys and waits until it is ready to start sshd.

    It is told again and again: the first words may end in an earlier session's sshd if the guest
    has not noticed yet that its host hung up.
    """
    session = secrets.token_hex(8).encode()
    encoded = (base64.b64encode(word) for word in (os.urandom(64), host_key.private, _run_key().public))
    hello = b" ".join((b"hello", session, repr(time.time()).encode(), *encoded)) + b"\n"
    heard = b""
    try:
        while not deadline.expired:
            connection.settimeout(max(0.001, deadline.remaining))
            connection.sendall(hello)
            connection.settimeout(min(_AGAIN, max(0.001, deadline.remaining)))
            with contextlib.suppress(TimeoutError):
                while b"ready " + session + b"\n" not in heard:
                    data = connection.recv(_CHUNK)
                    if not data:
                        raise LostGuest(f"{what}: went away ({deadline.what})")
                    heard = heard[-_CHUNK:] + data
                connection.sendall(b"go " + session + b"\n")
                _skip_to_banner(connection, what, deadline)
                connection.settimeout(None)
                return
    except TimeoutError:
        pass
    except OSError as error:
        raise LostGuest(f"{what}: its SSH port: {error} ({deadline.what})") from error
    raise LostGuest(f"{what}: its SSH port did not answer within {deadline.seconds:g} s ({deadline.what})")


def _skip_to_banner(connection: socket.socket, what: str, deadline: Deadline) -> None:
    """Drops what comes before sshd's first line: the answer to each further hello.

    paramiko would take those for lines of a banner, and give sshd only two seconds for the next
    one.
    """
    while not deadline.expired:
        connection.settimeout(max(0.001, deadline.remaining))
        waiting = connection.recv(_CHUNK, socket.MSG_PEEK)
        if not waiting:
            raise LostGuest(f"{what}: went away ({deadline.what})")
        if waiting.startswith(b"SSH-"):
            return
        line, end, _ = waiting.partition(b"\n")
        if end:
            connection.recv(len(line) + 1)
        else:
            time.sleep(_PIECE)
    raise TimeoutError


@functools.cache
def _run_key() -> _Key:
    return _make_key()


def _make_key() -> _Key:
    key = Ed25519PrivateKey.generate()
    return _Key(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    )
