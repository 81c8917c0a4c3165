"""Gives the host an SSH session over a virtio serial port.

The host speaks first, in lines: `hello ID TIME ENTROPY HOST_KEY AUTHORIZED_KEY` (the last three in
base64), repeated until it is answered `ready ID`, then `go ID` starts `sshd -i` with these keys,
and everything after it belongs to SSH. Whatever else arrives before `go` is left over from an
earlier connection and dropped.

So no key is part of a template: every guest has those its host made for it, and a clone's sshd
draws its session keys from a pool of random numbers of the clone's own.

Not pathlib, not subprocess: under TCG each costs a tenth of a second of every boot.
"""

import base64
import fcntl
import os
import select
import socket
import struct
import time

PORT = "/dev/virtio-ports/ssh"
KEYS = "/run/sshd-keys"
CHUNK = 65536
RNDADDENTROPY = 0x40085203  # random(4)
RNDRESEEDCRNG = 0x5207


def main() -> None:
    """Serves one connection after the other, for ever."""
    port = os.open(PORT, os.O_RDWR | os.O_NONBLOCK)
    while True:
        hello, rest = greet(port)
        prepare(hello)
        session(port, rest)


def greet(port: int) -> tuple[list[bytes], bytes]:
    """The words of the hello that begins the next session, and the first bytes of its SSH
    stream.
    """
    buffer = b""
    hello: list[bytes] = []
    while True:
        while b"\n" in buffer:
            line, buffer = buffer.split(b"\n", 1)
            words = line.split()
            if len(words) == 6 and words[0] == b"hello":
                hello = words
                write(port, b"ready " + words[1] + b"\n")
            elif hello and words == [b"go", hello[1]]:
                return hello, buffer
        buffer = buffer[-CHUNK:]
        wait_readable(port)
        buffer += read(port)


def prepare(hello: list[bytes]) -> None:
    """Sets the clock, refreshes the pool of random numbers and puts the keys where sshd reads
    them.
    """
    time.clock_settime(time.CLOCK_REALTIME, float(hello[2]))
    entropy, host_key, authorized_key = map(base64.b64decode, hello[3:])
    pool = os.open("/dev/urandom", os.O_WRONLY)
    fcntl.ioctl(pool, RNDADDENTROPY, struct.pack("ii", len(entropy) * 8, len(entropy)) + entropy)
    fcntl.ioctl(pool, RNDRESEEDCRNG)
    os.close(pool)
    for name, content in (("host", host_key), ("authorized", authorized_key)):
        descriptor = os.open(f"{KEYS}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(descriptor, content)
        os.close(descriptor)


def session(port: int, rest: bytes) -> None:
    """One sshd, from its start to its end or the host's going."""
    ours, theirs = socket.socketpair()
    daemon = os.fork()
    if daemon == 0:
        os.dup2(theirs.fileno(), 0)
        os.dup2(theirs.fileno(), 1)
        os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
        options = (
            f"HostKey={KEYS}/host",
            f"AuthorizedKeysFile={KEYS}/authorized",
            "UsePAM=no",
            "StrictModes=no",
            "UseDNS=no",
            "PermitRootLogin=yes",
            "PasswordAuthentication=no",
            "Subsystem=sftp internal-sftp",
        )
        os.execv(
            "/usr/sbin/sshd",
            ["/usr/sbin/sshd", "-i", "-f", "/dev/null", *(f"-o{option}" for option in options)],
        )
    theirs.close()
    relay(port, ours, rest)
    ours.close()
    os.waitpid(daemon, 0)


def relay(port: int, ours: socket.socket, rest: bytes) -> None:
    """Copies both ways until either end is gone."""
    poll = select.poll()
    poll.register(port, select.POLLIN)
    poll.register(ours, select.POLLIN)
    try:
        ours.sendall(rest)
        while True:
            for descriptor, event in poll.poll():
                if descriptor == port:
                    data = read(port) if event & select.POLLIN else b""
                    if not data and event & select.POLLHUP:
                        return
                    ours.sendall(data)
                else:
                    data = ours.recv(CHUNK)
                    if not data:
                        return
                    write(port, data)
    except (BrokenPipeError, ConnectionResetError):
        return


def wait_readable(port: int) -> None:
    """Returns when bytes may be there.

    Without a host on the other end poll() reports POLLHUP at once: look again later.
    """
    poll = select.poll()
    poll.register(port, select.POLLIN)
    while not poll.poll()[0][1] & select.POLLIN:
        time.sleep(0.02)


def read(port: int) -> bytes:
    """What is there now; nothing if the host is gone."""
    try:
        return os.read(port, CHUNK)
    except BlockingIOError:
        return b""


def write(port: int, data: bytes) -> None:
    """Writes all of it, unless the host is gone."""
    poll = select.poll()
    poll.register(port, select.POLLOUT)
    while data:
        try:
            data = data[os.write(port, data) :]
        except BlockingIOError:
            if poll.poll()[0][1] & select.POLLHUP:
                return


main()
