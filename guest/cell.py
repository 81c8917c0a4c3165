"""Runs one cell: a child in fresh namespaces runs the experiment (`guest.process`), the agent
supervises the child.

The child may print, loop, fork or die: its prints and its answer come through two pipes, both
bounded, and it is the first process of a PID namespace, so that every process it started ends with
it. The child is forked before the template is saved and told later which experiment to run: forking
in a clone would cost as much as the rest of the cell.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from guest import linux
from guest.catalogue import SCOPES, Experiment
from guest.errors import Refused
from guest.process import CROWDED, READY, SCHEMA, Asked, live
from guest.root import Root
from guest.traces import Traces

PROCESSES = "/proc/sys/kernel/threads-max"
_MOST_ANSWER = 15 << 20
_MOST_PRINTED = 64 << 10
_MOST_PROCESSES = 200  # of the whole guest; the kernel and the agent have some 70
_READY_SECONDS = 20.0
_MOST_NETWORKS = Path("/proc/sys/user/max_net_namespaces")


@dataclass(frozen=True)
class Answer:
    """What is sent to the host about one cell.

    `whole` is the JSON document that the cell's process wrote, not looked at, or one that says why
    there is none. `printed` and `dmesg` are text beside it: what that process printed, and what the
    kernel logged. `seconds` is how long all of it took.
    """

    whole: bytes
    printed: str = ""
    dmesg: str = ""
    seconds: float = 0.0


def failure(outcome: str, reason: str) -> bytes:
    """The document for a cell whose process left none: `error`, `timeout` or `unsupported`."""
    return json.dumps({"schema": SCHEMA, "outcome": outcome, "reason": reason}).encode()


class Cells:
    """Runs cells of the given experiments, one at a time.

    A cell is ended once `over`, a file descriptor, has something to read. How long a cell runs is
    measured by the host alone: the guest's clock goes on while the guest waits for a processor.
    """

    def __init__(self, experiments: Mapping[str, Experiment], over: int) -> None:
        self.experiments = experiments
        self._over = over
        self._ahead: dict[str, _Child] = {}
        self._root: Root | None = None
        self._traces: Traces | None = None

    def prepare(self) -> None:
        """Forks the child of the next cell ahead of time, one for each scope, and remembers how the
        machine is before any cell.
        """
        for scope in SCOPES:
            self._ahead[scope] = _Child(scope, self.experiments)
            self._ahead[scope].wait()
        self._traces = Traces()

    def run(self, asked: Asked) -> Answer:
        """Runs one experiment with one variant and returns the answer for the host."""
        start = time.monotonic()
        self._restore()
        root = self._root = Root()
        try:
            # Else one that forks for ever takes all memory too, and how it ends is chance.
            root.write(PROCESSES, str(_MOST_PROCESSES))
            loaded = [root.modprobe(module) for module in asked.modules]
            child = self._child(asked.variant, fresh=any(loaded))
            child.start(asked)
            answer = _watch(child, asked, root, self._over)
        except Refused as refusal:
            answer = Answer(failure("unsupported", str(refusal)))
        dmesg = "".join(f"{line}\n" for line in root.dmesg())[:_MOST_PRINTED]
        return replace(answer, dmesg=dmesg, seconds=round(time.monotonic() - start, 4))

    def settle(self) -> list[str]:
        """Undoes what the last cell did through its root, makes the children of the next cells, and
        returns what the machine still differs in from before the first cell, a line each.

        A machine that differs must not be asked anything more.
        """
        assert self._traces, "prepare comes first"
        left = self._restore() + self._traces.undo()
        for scope in SCOPES:
            if scope not in self._ahead:
                with _room_for_one_network():
                    self._ahead[scope] = _Child(scope, self.experiments)
                    if not self._ahead[scope].wait():
                        left.append(f"network namespace: one of the cell with scope={scope} is still there")
        return left + self._traces.found({child.pid for child in self._ahead.values()})

    def _restore(self) -> list[str]:
        root, self._root = self._root, None
        return root.restore() if root else []

    def _child(self, variant: Mapping[str, str], *, fresh: bool) -> _Child:
        scope = variant.get("scope", "root")
        child = self._ahead.pop(scope, None)
        if child and fresh:  # the kernel adds nothing of a new module to namespaces that are there already
            child.end()
            child = None
        if child is None:
            child = _Child(scope, self.experiments)
            child.wait()
        return child


@contextlib.contextmanager
def _room_for_one_network() -> Iterator[None]:
    """Lets each user have one network namespace: another one can only be made once the kernel has
    removed the one before, which takes a while after its last process has ended.
    """
    most = _MOST_NETWORKS.read_text()
    _MOST_NETWORKS.write_text("1")
    try:
        yield
    finally:
        _MOST_NETWORKS.write_text(most)


class _Child:
    """A process in fresh namespaces that waits for a cell to run, and the agent's ends of the pipes
    and the socket to that process.
    """

    def __init__(self, scope: str, experiments: Mapping[str, Experiment]) -> None:
        self.answer, answer = os.pipe2(os.O_CLOEXEC)
        self.printed, printed = os.pipe2(os.O_CLOEXEC)
        self.channel, channel = socket.socketpair()
        self.pid = _fork_first_process()
        if self.pid == 0:
            self.channel.close()
            live(scope, experiments, answer, printed, channel)
        os.close(answer)
        os.close(printed)
        channel.close()

    def wait(self) -> bool:
        """Waits until the child is ready, or has died; False if there are too many namespaces for
        its own. Raises TimeoutError.
        """
        self.channel.settimeout(_READY_SECONDS)
        said = self.channel.recv(len(READY))
        self.channel.settimeout(None)
        return said != CROWDED

    def start(self, asked: Asked) -> None:
        """Tells the waiting child which cell to run."""
        # A child that died is noticed when no answer comes.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.channel.sendall(asked.line)

    def end(self) -> int:
        """Kills the child with all processes that it started; returns its wait status."""
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.answer)
        os.close(self.printed)
        self.channel.close()
        return status


def _watch(child: _Child, asked: Asked, root: Root, over: int) -> Answer:
    try:
        outcome, answer, printed = _listen(child.answer, child.printed, child.channel, root, over)
    finally:
        status = child.end()
    text = printed[-_MOST_PRINTED:].decode(errors="replace")
    if outcome == "timeout":
        whole = failure("timeout", f"{asked.experiment} did not end within {asked.seconds:g} s")
    elif outcome == "bounds":
        whole = failure("error", f"{asked.experiment} answered more than {_MOST_ANSWER} bytes")
    elif not answer.endswith(b"}"):
        whole = failure("error", f"the experiment's process ended without an answer, wait status {status}")
    else:
        whole = answer
    return Answer(whole, text)


def _fork_first_process() -> int:
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    linux.unshare(linux.CLONE_NEWPID)
    child = os.fork()
    if child:
        # Without this the next cell could not get a PID namespace: a process may only make one from
        # its own.
        linux.setns(own, linux.CLONE_NEWPID)
    os.close(own)
    return child


def _listen(
    answer: int, printed: int, channel: socket.socket, root: Root, over: int
) -> tuple[str, bytes, bytes]:
    parts: list[bytes] = []
    size = 0
    text = b""
    request = b""
    poll = select.poll()
    for fd in (answer, printed, channel.fileno(), over):
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == over:
                return "timeout", b"", text
            data = os.read(fd, 1 << 16)
            if fd == answer:
                if not data:
                    return "answered", b"".join(parts), text + _rest(printed)
                parts.append(data)
                size += len(data)
                if size > _MOST_ANSWER:
                    return "bounds", b"", text
            elif not data:
                poll.unregister(fd)
            elif fd == printed:
                text = (text + data)[-_MOST_PRINTED:]
            else:
                request = _serve(root, channel, request + data)


def _serve(root: Root, channel: socket.socket, request: bytes) -> bytes:
    """Answers each whole line that the cell sent to root, and returns the rest."""
    *lines, rest = request.split(b"\n")
    for line in lines:
        channel.sendall(root.answer(line))
    return rest


def _rest(printed: int) -> bytes:
    os.set_blocking(printed, False)
    try:
        return os.read(printed, _MOST_PRINTED)
    except BlockingIOError:
        return b""
