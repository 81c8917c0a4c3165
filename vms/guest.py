"""A running guest: requests to its agent, SSH, its console, and its end with the context."""

from __future__ import annotations

import json
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from vms.agent import Agent
from vms.answer import Answer
from vms.boot import Boot
from vms.deadline import Deadline
from vms.decode import Undecodable, decode
from vms.errors import HostError, LostGuest, Unbootable
from vms.qemu import LARGEST_FILE, Qemu, tail
from vms.runtime import private_directory
from vms.splats import find_splats
from vms.ssh import Ssh
from vms.text import shown
from vms.wire import Spent, Wire

LONGEST_ANSWER = 16 << 20
_LONGEST_HEADER = 2 << 20
_LONGEST_CONSOLE = 1 << 20
_WIDEST = len("<U+10FFFF>")  # that a character which cannot be seen is shown as
_TAIL_LINES = 15
_CHUNK = 1 << 18
_END_SECONDS = 3.0  # after its sockets closed, on a busy host
_END = b'{"do": "end"}\n'  # without an `id`, so that an agent which has just answered ignores it
_PANIC = b"Kernel panic - not syncing"
_PANIC_SECONDS = 2.0  # in which a kernel that panicked ends the guest
_SILENT_SECONDS = 4.0
_LENGTH = re.compile(rb"[0-9]{1,9}")
_LINE_CHARACTERS = 400
# What any console holds; everything else that cannot be seen is shown, see vms/text.py.
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Startable(Protocol):
    """What `running` starts."""

    def words(self, directory: Path) -> list[str]:
        """QEMU's command line, for a guest with this private directory."""


class Guest:
    """One running guest, made by `running`. `boot` is what its kernel had reported when its agent
    last said that it is ready, `had_agent` whether an agent has run in it.

    Every deadline of its methods goes by the guest's clock, which stands still while the guest
    waits for a processor, and is `slowness` times as long.
    """

    def __init__(self, qemu: Qemu, what: str, intact: Callable[[], bool]) -> None:
        self.qemu = qemu
        self.what = what
        self._intact = intact
        self._ports: dict[str, socket.socket] = {}
        self._heard = bytearray()
        self._looked = 0
        self._panicked: float | None = None
        self.slowness = 1.0
        self.boot = Boot()
        self.had_agent = False

    @property
    def crashed(self) -> str | None:
        """The line of the console that names why the kernel crashed; None without a crash."""
        splats = (found.splat for found in find_splats(self.console()))
        return next((splat.title for splat in splats if splat.fatal), None)

    @property
    def resident(self) -> int:
        """Bytes of memory that its QEMU does not share; what a clone shares with its template is
        not counted.
        """
        return self.qemu.resident

    def console(self) -> str:
        """What its console printed: the last MiB, with control characters made visible.

        The console of a clone begins where the template's ended. After 8 MiB nothing more is
        stored, and the last line says so.
        """
        path = self.qemu.directory / "console"
        text = printed_text(tail(path, _LONGEST_CONSOLE))
        # Its end says why a guest ended, so what is too much is cut at the beginning.
        text = shown(text, _LONGEST_CONSOLE * _WIDEST)[-_LONGEST_CONSOLE:]
        if path.exists() and path.stat().st_size >= LARGEST_FILE:
            text += f"\n[cut: the console printed more than {LARGEST_FILE >> 20} MiB]\n"
        return text

    def last_lines(self) -> str:
        """The last lines of its console, long ones cut: for error messages."""
        lines = self.console().splitlines()[-_TAIL_LINES:]
        return "\n".join(shown(line, _LINE_CHARACTERS) for line in lines)

    def attach(self, deadline: Deadline) -> None:
        """Connects to both ports, so that what waits on them in the guest is woken by the first
        byte.
        """
        for name in ("ssh", "agent"):
            self._port(name, deadline)

    def ask(self, request: bytes, deadline: Deadline, limit: Deadline | None = None) -> Answer:
        """Sends one line of JSON to the agent and returns the answer whose header has its `id`. At
        the limit the agent is told to end what it does and to answer.

        An answer to another request is skipped by its length, and so is a line that is no header:
        an earlier host did not read them. Raises LostGuest if there is no answer in time, the guest
        ends, it announces no length or too large a one, sends more than LONGEST_ANSWER bytes, or
        the template that it was cloned from was changed while it ran.
        """
        wanted = json.loads(request)["id"]
        deadline = self.by_own_clock(deadline)
        left = [self.by_own_clock(limit)] if limit else []
        agent = _Silent()

        def meanwhile() -> str:
            if left and left[0].expired:
                left.clear()
                wire.sendall(_END)
            if self.had_agent and agent.is_gone(lambda: self.qemu.is_open("agent", deadline)):
                return "cannot answer: its agent is gone"
            return self.hopeless()

        wire = Wire(self._port("agent", deadline), LONGEST_ANSWER, deadline, meanwhile)
        try:
            wire.sendall(request.rstrip(b"\n") + b"\n")
            while (line := self._line(wire)) is not None:
                header = _header(line)
                if header is None:
                    continue
                whole = self._take(wire, self._announced(header, deadline))
                if whole is None:
                    break
                if header.id == wanted:
                    self.had_agent = True
                    self._check_origin()
                    return Answer(line, whole)
        except Spent as spent:
            raise self.lost(str(spent)) from None
        except OSError:
            pass  # QEMU closed its end of the socket
        self.qemu.wait(Deadline(_END_SECONDS, "QEMU to end"))
        raise self.lost(f"went away ({deadline.what})")

    def start_agent(self, agent: Agent, deadline: Deadline) -> None:
        """Waits until the guest has booted, pushes the agent, starts it and waits until it is
        ready.

        Raises LostGuest, HostError if the agent does not start, Unbootable for a kernel that only
        prints.
        """
        try:
            self._start_agent(agent, self.by_own_clock(deadline))
        except LostGuest as lost:
            if floods := self._floods():
                shows = f"last console lines:\n{self.last_lines()}"
                raise Unbootable(f"{self.what} boots no guest: it {floods}\n{shows}") from lost
            raise

    def _start_agent(self, agent: Agent, deadline: Deadline) -> None:
        with self.ssh(deadline, lambda: self._floods() or self.hopeless()) as ssh:
            target = f"/run/matrix/{agent.digest}"
            for name, directory in agent.parts.items():
                ssh.push(directory, f"{target}/{name}", deadline)
            started = ssh.run(f"cd {target} && python3 -m {agent.module}", deadline)
        if started.status != 0:
            raise HostError(
                f"{self.what}: {agent.module} did not start, exit status {started.status}:"
                f" {started.output[-2000:]}"
            )
        self.ping(deadline)

    def ping(self, deadline: Deadline) -> None:
        """Waits until the agent reports that it is ready."""
        fields = {
            "id": secrets.token_hex(8),
            "do": "ping",
            "time": time.time(),
            "entropy": secrets.token_hex(32),
        }
        answer = self.ask(json.dumps(fields).encode(), deadline).whole
        try:
            ready = decode(answer, _Ready)
        except Undecodable:
            ready = _Ready()
        if not ready.ready:
            raise HostError(f"{self.what}: the agent is not ready: {answer[:1000].decode(errors='replace')}")
        self.boot = Boot(ready.tainted, tuple(found.splat for found in find_splats(self.console())))

    @contextmanager
    def ssh(self, deadline: Deadline, broken: Callable[[], str] | None = None) -> Iterator[Ssh]:
        """A session as root. Waits until the guest has booted, or until `broken` says why it will
        not; that is how its kernel panicked unless something else is given.
        """
        deadline = self.by_own_clock(deadline)
        session = Ssh(self._port("ssh", deadline), self.what, deadline, broken or self.hopeless)
        del self._ports["ssh"]  # the session closes it
        try:
            yield session
        finally:
            session.close()

    def lost(self, what_happened: str) -> LostGuest:
        """The error for a guest that cannot be used any more, with what is known about it."""
        return LostGuest(f"{self.what}: {what_happened}{self.end()}", self.last_lines())

    def end(self) -> str:
        """How the guest ended, for messages: what its kernel named as the cause, and QEMU's end."""
        crashed = self.crashed
        cause = f"; its kernel ended: {crashed}" if crashed else ""
        return cause + (f"; {self.qemu.epitaph}" if self.qemu.ended else "")

    def by_own_clock(self, deadline: Deadline) -> Deadline:
        """The deadline by the guest's clock, with more time for a guest that is slow."""
        return deadline.on(self.qemu.clock, self.slowness)

    @property
    def switched_off(self) -> bool:
        """Whether the guest was switched off or restarted from within, without a crash."""
        return (
            self.crashed is None
            and self.qemu.wait(Deadline(_END_SECONDS, "QEMU to end"))
            and (self.qemu.status == 0)
        )

    def hopeless(self) -> str:
        """Why no answer can be expected, empty if one can: a kernel that panicked may fail to end
        the guest. It is given a moment to do that and to print the rest.
        """
        console = self.qemu.directory / "console"
        if self._panicked is None and console.exists():
            with console.open("rb") as file:
                file.seek(max(0, self._looked - len(_PANIC)))
                new = file.read(LARGEST_FILE)
            self._looked = max(0, self._looked - len(_PANIC)) + len(new)
            self._panicked = time.monotonic() if _PANIC in new else None
        if self._panicked is None or time.monotonic() < self._panicked + _PANIC_SECONDS:
            return ""
        return "cannot answer: its kernel panicked"

    def close(self) -> None:
        """Closes the ports."""
        for port in self._ports.values():
            port.close()
        self._ports.clear()

    def _floods(self) -> str:
        """What to say of a guest that is not ready and whose console is full, empty if there is
        room.
        """
        console = self.qemu.directory / "console"
        full = console.exists() and console.stat().st_size >= LARGEST_FILE
        return f"printed more than {LARGEST_FILE >> 20} MiB on its console" if full else ""

    def _check_origin(self) -> None:
        if not self._intact():
            raise self.lost("the template it was cloned from was changed while it ran, so its answer is void")

    def _port(self, name: str, deadline: Deadline) -> socket.socket:
        if name not in self._ports:
            self._ports[name] = self.qemu.connect(name, deadline)
        return self._ports[name]

    def _announced(self, header: _Header, deadline: Deadline) -> int:
        """How many bytes follow a header."""
        found = _LENGTH.fullmatch(header.bytes)
        if found and int(header.bytes) <= LONGEST_ANSWER:
            return int(header.bytes)
        announced = bytes(header.bytes)[:20].decode(errors="replace")
        raise self.lost(
            f"announced an answer of {announced} bytes, expected a number up to {LONGEST_ANSWER}"
            f" ({deadline.what})"
        )

    def _line(self, wire: Wire) -> bytes | None:
        """The next line from the agent, without its end; None once the agent is gone."""
        searched = 0
        while (end := self._heard.find(b"\n", searched)) < 0:
            searched = len(self._heard)
            if not self._receive(wire):
                return None
        line = bytes(self._heard[:end])
        del self._heard[: end + 1]
        return line

    def _take(self, wire: Wire, size: int) -> bytes | None:
        """The next `size` bytes from the agent; None if the agent goes away before them."""
        while len(self._heard) < size:
            if not self._receive(wire):
                return None
        taken = bytes(self._heard[:size])
        del self._heard[:size]
        return taken

    def _receive(self, wire: Wire) -> bool:
        """Waits for more bytes from the agent; False once it is gone."""
        data = wire.recv(_CHUNK)
        self._heard += data
        return bool(data)


class _Silent:
    """Finds out whether an agent that is silent is gone. QEMU is asked seldom: it costs guests
    time, and a clone learns which of its ports are open only once it runs.
    """

    def __init__(self) -> None:
        self._next = time.monotonic() + _SILENT_SECONDS
        self._closed = 0

    def is_gone(self, is_open: Callable[[], bool]) -> bool:
        """Whether the port was closed at two looks, one after the other."""
        if time.monotonic() >= self._next:
            self._closed = 0 if is_open() else self._closed + 1
            self._next = time.monotonic() + _SILENT_SECONDS
        return self._closed > 1


class _Ready(msgspec.Struct):
    ready: bool = False
    tainted: int = 0


class _Header(msgspec.Struct):
    id: str
    bytes: msgspec.Raw


def _header(line: bytes) -> _Header | None:
    """The header in a line, None if it is something else.

    Nothing but its two fields is decoded: that could cost 30 times the line's length in memory.
    """
    if len(line) > _LONGEST_HEADER:
        return None
    try:
        return decode(line, _Header)
    except Undecodable:
        return None


def printed_text(printed: bytes) -> str:
    """What a console printed as text, without colours and carriage returns."""
    return _COLOURS.sub("", printed.decode(errors="replace"))


@contextmanager
def running(machine: Startable, what: str, intact: Callable[[], bool] = lambda: True) -> Iterator[Guest]:
    """Starts QEMU for a guest; the context ends it and removes its directory.

    `intact` returns whether the file of its memory is unchanged. A LostGuest that leaves the
    context gets the last console lines added.
    """
    with private_directory() as directory:
        qemu = Qemu(machine.words(directory), directory, what)
        guest = Guest(qemu, what, intact)
        try:
            yield guest
        except LostGuest as error:
            if error.console:
                raise
            qemu.wait(Deadline(_END_SECONDS, "QEMU to end"))
            raise LostGuest(f"{error}{guest.end()}", guest.last_lines()) from error
        finally:
            guest.close()
            qemu.close()
