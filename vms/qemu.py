"""One QEMU process: starts it, talks to it over QMP, and always ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from qemu.qmp import ExecuteError, QMPClient, QMPError

from vms.capacity import resident, starved
from vms.deadline import Deadline
from vms.errors import HostError, LostGuest
from vms.tool import tied
from vms.wire import Spent, Wire

LARGEST_FILE = 8 << 20
"""The largest size in bytes of a file that QEMU writes (console, standard error); what follows is
lost.
"""
_POLL = 0.002
_END_SECONDS = 30
_CHUNK = 1 << 20
_EPITAPH = 2000
_MOST_STARVED = 0.9  # of the time since the start
_SLICE = 0.25  # seconds between two looks at a deadline, which may go by the guest's clock
_MOST_STATE = 64 << 20  # bytes of the state of devices and CPUs; a guest has one or two MiB
_OPEN_FILES = 1024
_CAP_SETPCAP = 1 << 8  # capabilities(7): without it a process cannot give up others for good
_OOM_FIRST = "1000"  # proc(5), oom_score_adj: such a process is killed before all others
# Errors are raised; without a handler the library would also print them.
logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())
_lock = Lock()
_launchers: dict[int, ThreadPoolExecutor] = {}  # by process id: a forked process starts its own


class Qemu:
    """A QEMU that was started. `directory` is the private directory of its sockets and logs."""

    def __init__(self, command: Sequence[str], directory: Path, what: str) -> None:
        self.directory = directory
        self.what = what
        self._loop = asyncio.new_event_loop()
        try:
            self._qmp = QMPClient(what)
            self._process = _launch(command, directory / "stderr")
        except BaseException:
            self._loop.close()
            raise
        self._began = time.monotonic()
        self._starved = 0.0

    def connect(self, name: str, deadline: Deadline) -> socket.socket:
        """Connects to one of its sockets as soon as QEMU listens there.

        Raises LostGuest, with what QEMU printed, if it ends before.
        """
        connection = socket.socket(socket.AF_UNIX)
        try:
            while True:
                try:
                    connection.connect(str(self.directory / name))
                except (FileNotFoundError, ConnectionRefusedError):
                    if self.ended:
                        raise LostGuest(f"{self.what}: {self.epitaph}") from None
                    if deadline.expired:
                        raise LostGuest(
                            f"{self.what}: QEMU opened no socket for {name} within {deadline.seconds:g} s"
                        ) from None
                    time.sleep(_POLL)
                else:
                    return connection
        except BaseException:
            connection.close()
            raise

    def execute(self, command: str, deadline: Deadline, **arguments: object) -> object:
        """Runs a QMP command and returns its result.

        Raises HostError if QEMU refuses it, LostGuest if QEMU is gone or does not answer.
        """
        try:
            return self._run(self._execute(command, arguments, deadline), deadline, command)
        except ExecuteError as error:
            raise HostError(f"{self.what}: QEMU refused {command}: {error}") from error

    def save(self, deadline: Deadline) -> bytes:
        """Stops the guest and returns the state of its devices and CPUs; its memory stays in its
        shared file.
        """
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.directory / "state"))
            listener.listen(1)
            listener.settimeout(_SLICE)
            self._leave_memory_out(deadline)
            self.execute("migrate", deadline, uri=f"unix:{self.directory / 'state'}")
            try:
                with _accepted(listener, deadline) as connection:
                    wire = Wire(connection, _MOST_STATE, deadline)
                    state = b"".join(iter(lambda: wire.recv(_CHUNK), b""))
            except Spent:
                raise LostGuest(
                    f"{self.what}: QEMU did not write its state within {deadline.seconds:g} s"
                    f" ({deadline.what})"
                ) from None
        while (status := self._migration(deadline)) in ("active", "device", "setup", "wait-unplug"):
            if deadline.expired:
                raise LostGuest(
                    f"{self.what}: saving the state was still {status!r} after {deadline.seconds:g} s"
                    f" ({deadline.what})"
                )
            time.sleep(_POLL)
        if status != "completed":
            raise HostError(f"{self.what}: QEMU could not save the guest's state: {status}")
        return state

    def load(self, state: bytes, deadline: Deadline) -> None:
        """Makes a QEMU started with `-incoming defer` resume where `save` stopped another one."""
        self._leave_memory_out(deadline)
        self.execute("migrate-incoming", deadline, uri=f"unix:{self.directory / 'state'}")
        with self.connect("state", deadline) as connection:
            try:
                Wire(connection, 0, deadline).sendall(state)
            except (OSError, Spent) as error:
                raise LostGuest(
                    f"{self.what}: QEMU could not load the saved state: {error or type(error).__name__}"
                ) from error

    def is_open(self, name: str, deadline: Deadline) -> bool:
        """Whether a program in the guest has this port open."""
        found = self.execute("query-chardev", deadline)
        ports = found if isinstance(found, list) else []
        return any(port.get("label") == name and port.get("frontend-open") for port in ports)

    def clock(self) -> float:
        """Monotonic seconds that stand still while the guest waits for a processor, so that a busy
        host takes nothing from the time that a guest is given. They pass at a tenth of the usual
        speed at least.
        """
        now = time.monotonic()
        most = (now - self._began) * _MOST_STARVED
        self._starved = min(most, max(self._starved, starved(self._process.pid)))
        return now - self._starved

    @property
    def age(self) -> float:
        """Seconds since it was started, by its clock."""
        return self.clock() - self._began

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    @property
    def status(self) -> int | None:
        """The exit status of the process, None while it runs; negative if a signal ended it."""
        return self._process.poll()

    @property
    def epitaph(self) -> str:
        """How the process ended, with the end of its standard error."""
        status = self._reaped()
        how = f"status {status}" if status >= 0 else signal.Signals(-status).name
        said = tail(self.directory / "stderr", _EPITAPH).decode(errors="replace").strip()
        return f"QEMU ended with {how}" + (f": {said}" if said else "")

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    @property
    def resident(self) -> int:
        """Bytes of memory that the process does not share."""
        return resident(self._process.pid)

    def wait(self, deadline: Deadline) -> bool:
        """Waits until the process ends by itself; returns whether it did so before the deadline."""
        try:
            self._process.wait(deadline.remaining)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Ends the process and closes the QMP connection. May be called again."""
        self._process.kill()
        try:
            self._reaped()
            if not self._loop.is_closed():
                self._loop.run_until_complete(asyncio.wait_for(self._disconnect(), _END_SECONDS))
        finally:
            self._loop.close()

    def _reaped(self) -> int:
        """The status of the process, which has ended or was killed."""
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            raise HostError(
                f"{self.what}: QEMU was killed and has not ended after {_END_SECONDS} s; a disk of this host"
                " may not answer"
            ) from None

    def _leave_memory_out(self, deadline: Deadline) -> None:
        capabilities = [{"capability": "x-ignore-shared", "state": True}]
        self.execute("migrate-set-capabilities", deadline, capabilities=capabilities)

    def _migration(self, deadline: Deadline) -> str:
        answer = self.execute("query-migrate", deadline)
        return str(answer.get("status")) if isinstance(answer, dict) else ""

    async def _execute(self, command: str, arguments: dict[str, object], deadline: Deadline) -> object:
        if self._qmp.greeting is None:
            await self._qmp.connect(self.connect("qmp", deadline))
        return await self._qmp.execute(command, arguments)

    async def _disconnect(self) -> None:
        # QEMU has ended, so a closed socket is expected.
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._qmp.disconnect()

    def _run(self, work: Coroutine[Any, Any, object], deadline: Deadline, command: str) -> object:
        try:
            return self._loop.run_until_complete(_in_time(work, deadline))
        except TimeoutError:
            raise LostGuest(
                f"{self.what}: QEMU did not answer {command} within {deadline.seconds:g} s ({deadline.what})"
            ) from None
        except ExecuteError:
            raise
        except (QMPError, OSError, EOFError) as error:
            self._process.kill()
            raise LostGuest(f"{self.what}: QMP {command}: {error}; {self.epitaph}") from error


async def _in_time(work: Coroutine[Any, Any, object], deadline: Deadline) -> object:
    """The result of the work. Raises TimeoutError at the deadline."""
    task = asyncio.ensure_future(work)
    while not task.done() and not deadline.expired:
        await asyncio.wait({task}, timeout=min(_SLICE, deadline.remaining))
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait({task})
    raise TimeoutError


def _accepted(listener: socket.socket, deadline: Deadline) -> socket.socket:
    """The first connection to a socket that has a timeout. Raises Spent at the deadline."""
    while not deadline.expired:
        with contextlib.suppress(TimeoutError):
            return listener.accept()[0]
    raise Spent


def _launch(command: Sequence[str], stderr: Path) -> subprocess.Popen[bytes]:
    # The kernel kills QEMU when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG), so
    # all are started from one thread that lives as long as the process. In its own session QEMU
    # does not get Ctrl-C; this process ends it. At the size limit QEMU gets an error and drops what
    # the guest prints: SIGXFSZ, which would end QEMU, is ignored, as Python ignores it and
    # restore_signals keeps that. A memory file has its size already, and writes to its mapping are
    # not limited.
    with _lock:
        launcher = _launchers.setdefault(os.getpid(), ThreadPoolExecutor(1, "qemu"))
    try:
        with stderr.open("wb") as errors:
            process = launcher.submit(
                subprocess.Popen,
                [*_limits(), *tied(command, _fewer_capabilities())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                restore_signals=False,
            ).result()
    except FileNotFoundError as error:
        raise HostError("cannot run prlimit; install the package util-linux") from error
    with contextlib.suppress(OSError):  # QEMU has ended already
        Path(f"/proc/{process.pid}/oom_score_adj").write_text(_OOM_FIRST)
    return process


def _limits() -> list[str]:
    wanted = {"fsize": LARGEST_FILE, "core": 0, "nofile": _OPEN_FILES}
    words = ["prlimit"]
    for name, most in wanted.items():
        hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
        words.append(f"--{name}={most if hard == resource.RLIM_INFINITY else min(most, hard)}")
    return [*words, "--"]


def _fewer_capabilities() -> list[str]:
    """Flags of setpriv that drop root's capabilities, except the one to read all files: under sudo
    the cache may be in a directory that only its user may pass.
    """
    status = Path("/proc/self/status").read_text()
    effective = int(re.search(r"^CapEff:\s*(\w+)", status, re.MULTILINE)[1], 16)  # type: ignore[index]
    if os.geteuid() != 0 or not effective & _CAP_SETPCAP:
        return []
    return ["--inh-caps=-all", "--bounding-set=-all,+dac_read_search"]


def tail(path: Path, most: int) -> bytes:
    """The last bytes of a file, at most `most`; empty if it does not exist."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most)
    except FileNotFoundError:
        return b""
