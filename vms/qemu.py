"""One QEMU process: started, spoken to over QMP, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from qemu.qmp import ExecuteError, QMPClient, QMPError

from vms.capacity import resident
from vms.deadline import Deadline
from vms.errors import HostError, LostGuest
from vms.wire import Spent, Wire

BINARY = "qemu-system-x86_64"
OLDEST = (7, 2)  # what this project is tested with; x-ignore-shared itself came with 4.0
LARGEST_FILE = 8 << 20
"""Bytes of each file that QEMU writes (console, standard error); what comes after is lost."""
_UNUSED_DEVICES = ("sata", "usb", "smbus", "vmport", "i8042")
_PRINT_SECONDS = 20
_POLL = 0.002
_CHUNK = 1 << 20
_EPITAPH = 2000
_MOST_STATE = 64 << 20  # bytes of the state of devices and CPUs, of which a guest has one or two MiB
_OPEN_FILES = 1024
_CAP_SETPCAP = 1 << 8  # capabilities(7): without it a process cannot give up others for good
_OOM_FIRST = "1000"  # proc(5), oom_score_adj: such a process is killed before all others
# What goes wrong is raised; without a handler of its own the library would print it as well.
logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())
_lock = Lock()
_launchers: dict[int, ThreadPoolExecutor] = {}  # by process: a fork makes its own


@dataclass(frozen=True)
class Binary:
    """The QEMU of this host. `identity` changes whenever the program could; `left_out` are the
    options by which its machine does without a device that no guest of ours uses.
    """

    path: str
    version: str
    identity: str
    left_out: tuple[str, ...] = ()


def find_qemu() -> Binary:
    """The QEMU on the PATH, the same for as long as this process lives.

    Raises HostError if there is none, or it does not run, or is too old, and once it was replaced:
    what one QEMU saved another must not load, and a run says which QEMU it had.
    """
    found, stamp = first_found()
    if _stamp(found.path) != stamp:
        raise HostError(
            f"{found.path} was QEMU {found.version} and has been replaced meanwhile; start again with the one"
            " there is now"
        )
    return found


@functools.cache
def first_found() -> tuple[Binary, tuple[int, ...]]:
    """The QEMU that the first call in this process found, and the stamp of its file."""
    path = shutil.which(BINARY)
    if path is None or not (stamp := _stamp(path)):
        raise HostError(f"{BINARY} is not on the PATH; install the package qemu-system-x86")
    done = _printed([path, "--version"])
    match = re.search(r"version ((\d+)\.(\d+)[^\n]*)", done.stdout)
    if done.returncode != 0 or not match:
        said = (done.stderr or done.stdout).strip()[-500:] or "it said nothing"
        raise HostError(f"{path} --version ended with status {done.returncode}: {said}")
    if (int(match[2]), int(match[3])) < OLDEST:
        raise HostError(f"{path} is QEMU {match[1]}; at least {'.'.join(map(str, OLDEST))} is needed")
    size, modified, *_ = stamp
    return Binary(path, match[1], f"{match[1]} {size} {modified}", _left_out(path)), stamp


def _left_out(path: str) -> tuple[str, ...]:
    """Asked, not known by version: an option that a QEMU does not have ends it."""
    known = re.findall(r"^ *([\w-]+)=", _printed([path, "-machine", "q35,help"]).stdout, re.MULTILINE)
    return tuple(f"{device}=off" for device in _UNUSED_DEVICES if device in known)


def _printed(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PRINT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"{' '.join(command)}: {error}; is QEMU installed whole?") from error


def _stamp(path: str) -> tuple[int, ...]:
    """Changes when the file is replaced or written to; empty if it is gone."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino


class Qemu:
    """A started QEMU. `directory` is the private directory its sockets and logs lie in."""

    def __init__(self, command: Sequence[str], directory: Path, what: str) -> None:
        self.directory = directory
        self.what = what
        self._loop = asyncio.new_event_loop()
        self._qmp = QMPClient(what)
        self._process = _launch(command, directory / "stderr")

    def connect(self, name: str, deadline: Deadline) -> socket.socket:
        """A connection to one of its sockets, as soon as it listens.

        Raises LostGuest with QEMU's own words if it ends before.
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
        """What QEMU returns for a QMP command.

        Raises HostError if it refuses, LostGuest if it is gone or silent.
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
            listener.settimeout(max(0.001, deadline.remaining))
            self._leave_memory_out(deadline)
            self.execute("migrate", deadline, uri=f"unix:{self.directory / 'state'}")
            try:
                connection, _ = listener.accept()
                with connection:
                    wire = Wire(connection, _MOST_STATE, deadline)
                    state = b"".join(iter(lambda: wire.recv(_CHUNK), b""))
            except (TimeoutError, Spent):
                raise LostGuest(
                    f"{self.what}: QEMU did not write its state within {deadline.seconds:g} s"
                    f" ({deadline.what})"
                ) from None
        while (status := self._migration(deadline)) in ("active", "device", "setup", "wait-unplug"):
            if deadline.expired:
                raise LostGuest(
                    f"{self.what}: saving its state was still {status!r} after {deadline.seconds:g} s"
                    f" ({deadline.what})"
                )
            time.sleep(_POLL)
        if status != "completed":
            raise HostError(f"{self.what}: QEMU could not save the guest's state: {status}")
        return state

    def load(self, state: bytes, deadline: Deadline) -> None:
        """Makes a QEMU started with `-incoming defer` go on from where `save` stopped another
        one.
        """
        self._leave_memory_out(deadline)
        self.execute("migrate-incoming", deadline, uri=f"unix:{self.directory / 'state'}")
        with self.connect("state", deadline) as connection:
            connection.settimeout(max(0.001, deadline.remaining))
            try:
                connection.sendall(state)
            except OSError as error:
                raise LostGuest(
                    f"{self.what}: QEMU did not take the saved state: {error or type(error).__name__}"
                ) from error

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    @property
    def epitaph(self) -> str:
        """How it ended, with the last it wrote to standard error."""
        status = self._process.wait()
        how = f"status {status}" if status >= 0 else signal.Signals(-status).name
        said = tail(self.directory / "stderr", _EPITAPH).decode(errors="replace").strip()
        return f"QEMU ended with {how}" + (f": {said}" if said else "")

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def resident(self) -> int:
        """Bytes of memory that the process has for itself alone."""
        return resident(self._process.pid)

    def wait(self, deadline: Deadline) -> bool:
        """Whether it ended by itself before the deadline."""
        try:
            self._process.wait(deadline.remaining)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Ends the process and our connection to it. May be called again."""
        self._process.kill()
        self._process.wait()
        if not self._loop.is_closed():
            try:
                self._loop.run_until_complete(self._disconnect())
            finally:
                self._loop.close()

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
        # It is dead: that its end of the socket is gone is no news.
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._qmp.disconnect()

    def _run(self, work: object, deadline: Deadline, command: str) -> object:
        try:
            return self._loop.run_until_complete(asyncio.wait_for(work, deadline.remaining))  # type: ignore[arg-type]
        except TimeoutError:
            raise LostGuest(
                f"{self.what}: QEMU did not answer {command} within {deadline.seconds:g} s ({deadline.what})"
            ) from None
        except ExecuteError:
            raise
        except (QMPError, OSError, EOFError) as error:
            self._process.kill()
            raise LostGuest(f"{self.what}: QMP {command}: {error}; {self.epitaph}") from error


def _launch(command: Sequence[str], stderr: Path) -> subprocess.Popen[bytes]:
    # setpriv makes the kernel kill QEMU when we die, however we die. "We" is the thread that forked
    # (prctl(2), PR_SET_PDEATHSIG), so all are started from one thread that lives as long as the
    # process. In a session of its own Ctrl-C reaches us alone, and we end QEMU in order.
    # Beyond its largest file QEMU gets an error and drops what the guest prints: Python ignores
    # SIGXFSZ, which would end QEMU, and so does what inherits that (restore_signals). A memory file
    # has its size already, and writing to its mapping is not limited.
    with _lock:
        launcher = _launchers.setdefault(os.getpid(), ThreadPoolExecutor(1, "qemu"))
    try:
        with stderr.open("wb") as errors:
            process = launcher.submit(
                subprocess.Popen,
                [*_limits(), "setpriv", "--pdeathsig", "KILL", *_fewer_capabilities(), "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                restore_signals=False,
            ).result()
    except FileNotFoundError as error:
        raise HostError("cannot run prlimit; install the package util-linux") from error
    with contextlib.suppress(OSError):  # it has ended already
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
    """Flags of setpriv that take root's capabilities from QEMU, but for the one to read: under sudo
    a user's cache may lie where only that user may pass.
    """
    status = Path("/proc/self/status").read_text()
    effective = int(re.search(r"^CapEff:\s*(\w+)", status, re.MULTILINE)[1], 16)  # type: ignore[index]
    if os.geteuid() != 0 or not effective & _CAP_SETPCAP:
        return []
    return ["--inh-caps=-all", "--bounding-set=-all,+dac_read_search"]


def tail(path: Path, most: int) -> bytes:
    """The last bytes of a file, at most so many; none of a file that does not exist."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most)
    except FileNotFoundError:
        return b""
