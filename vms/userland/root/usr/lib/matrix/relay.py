"""Gives the host an SSH session over a virtio serial port.

The host speaks first, in lines: `hello ID HOST_KEY AUTHORIZED_KEY` (both base64) is answered `ready ID`, then `go ID`
starts `sshd -i` with these keys and everything after it belongs to SSH. The host repeats `hello` until it is answered; whatever else arrives
before `go` is left over from an earlier connection and dropped. So no key is part of a template: every guest has those
its host made for it, and a clone's sshd draws its session keys after the clone was started.
"""

import base64
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time

PORT = "/dev/virtio-ports/ssh"
CHUNK = 65536


def main() -> None:
    """Serves one connection after the other, for ever."""
    while not os.path.exists(PORT):
        time.sleep(0.02)
    port = os.open(PORT, os.O_RDWR | os.O_NONBLOCK)
    while True:
        host_key, authorized_key, rest = greet(port)
        session(port, host_key, authorized_key, rest)


def wait_readable(port: int) -> None:
    """Returns when bytes may be there. Without a host on the other end poll() returns at once with POLLHUP: look again later."""
    poll = select.poll()
    poll.register(port, select.POLLIN)
    while True:
        events = poll.poll()
        if events and events[0][1] & select.POLLIN:
            return
        time.sleep(0.02)


def read(port: int) -> bytes:
    """What is there now; nothing if the host is gone."""
    try:
        return os.read(port, CHUNK)
    except BlockingIOError:
        return b""


def write(port: int, data: bytes) -> None:
    """Writes all of it, unless the host is gone."""
    while data:
        try:
            data = data[os.write(port, data) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(port, select.POLLOUT)
            if any(event & select.POLLHUP for _, event in poll.poll()):
                return


def greet(port: int) -> tuple[bytes, bytes, bytes]:
    """The keys of the next connection and the first bytes of its SSH stream."""
    buffer = b""
    hello: list[bytes] = []
    while True:
        while b"\n" in buffer:
            line, buffer = buffer.split(b"\n", 1)
            words = line.split()
            if len(words) == 4 and words[0] == b"hello":
                hello = words
                write(port, b"ready " + words[1] + b"\n")
            elif hello and words == [b"go", hello[1]]:
                return base64.b64decode(hello[2]), base64.b64decode(hello[3]), buffer
        buffer = buffer[-CHUNK:]
        wait_readable(port)
        buffer += read(port)


def session(port: int, host_key: bytes, authorized_key: bytes, rest: bytes) -> None:
    """One sshd, from its start to its end or the host's going."""
    directory = tempfile.mkdtemp(dir="/run")
    try:
        for name, content in (("host", host_key), ("authorized", authorized_key)):
            with open(os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(content)
        ours, theirs = socket.socketpair()
        options = (f"HostKey={directory}/host", f"AuthorizedKeysFile={directory}/authorized", "UsePAM=no", "StrictModes=no", "PermitRootLogin=yes",
                   "PasswordAuthentication=no", "Subsystem=sftp internal-sftp")  # fmt: skip
        with theirs:
            daemon = subprocess.Popen(
                ["/usr/sbin/sshd", "-i", "-f", "/dev/null", *(word for option in options for word in ("-o", option))],
                stdin=theirs,
                stdout=theirs,
                stderr=subprocess.DEVNULL,
            )
        with ours:
            relay(port, ours, rest)
        daemon.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def relay(port: int, ours: socket.socket, rest: bytes) -> None:
    """Copies both ways until either end is gone."""
    ours.sendall(rest)
    poll = select.poll()
    poll.register(port, select.POLLIN)
    poll.register(ours, select.POLLIN)
    while True:
        for descriptor, event in poll.poll():
            if descriptor == port:
                data = read(port) if event & select.POLLIN else b""
                if not data and event & select.POLLHUP:
                    return
                try:
                    ours.sendall(data)
                except OSError:
                    return
            else:
                data = ours.recv(CHUNK)
                if not data:
                    return
                write(port, data)


main()
