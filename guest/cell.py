"""One cell: a child in fresh namespaces runs the experiment, the agent watches over it.

The child may print, loop, fork or die as it likes: its prints go to a pipe of their own, its answer comes over another one and is bounded,
and it is the first process of a PID namespace, so that whatever it started ends with it.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import time
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

from guest import linux
from guest.catalogue import Experiment, Unsupported
from guest.lab import Lab
from guest.lab.rules import lock_file
from guest.root import Asking, Refused, Root

SCHEMA = 1
_MOST_ANSWER = 15 << 20
_MOST_PRINTED = 64 << 10
_USER = 1000
_SCOPES = ("user", "root")

Answer = dict[str, Any]


def run(experiment: Experiment, variant: Mapping[str, str], seconds: float) -> Answer:
    """Runs one experiment with one variant and gives the answer to its request, without the id."""
    start = time.monotonic()
    root = Root()
    try:
        try:
            for module in experiment.modules:
                root.modprobe(module)
            answer = _watch(experiment, variant, seconds, root)
        except Refused as refusal:
            answer = {"outcome": "unsupported", "reason": str(refusal)}
        lines = root.dmesg()
        if lines:
            answer.setdefault("evidence", {})["dmesg.txt"] = {"text": "\n".join(lines)[:_MOST_PRINTED] + "\n"}
    finally:
        root.restore()
    whole: Answer = {"schema": SCHEMA, "facts": {}, "reason": "", "evidence": {}, "printed": ""}
    return whole | answer | {"seconds": round(time.monotonic() - start, 4)}


def _watch(experiment: Experiment, variant: Mapping[str, str], seconds: float, root: Root) -> Answer:
    answer_in, answer_out = os.pipe2(os.O_CLOEXEC)
    printed_in, printed_out = os.pipe2(os.O_CLOEXEC)
    ours, theirs = socket.socketpair()
    child = _fork_first_process()
    if child == 0:
        ours.close()
        _child(experiment, variant, answer_out, printed_out, Asking(theirs))
    os.close(answer_out)
    os.close(printed_out)
    theirs.close()
    try:
        outcome, answer, printed = _listen(answer_in, printed_in, ours, root, time.monotonic() + seconds)
    finally:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(answer_in)
        os.close(printed_in)
        ours.close()
    text = printed[-_MOST_PRINTED:].decode(errors="replace")
    if outcome == "timeout":
        return {"outcome": "timeout", "reason": f"{experiment.name} did not end within {seconds:g} s", "printed": text}
    if outcome == "bounds":
        return {"outcome": "error", "reason": f"{experiment.name} answered more than {_MOST_ANSWER} bytes", "printed": text}
    try:
        return dict(json.loads(answer)) | {"printed": text}
    except ValueError:
        return {"outcome": "error", "reason": f"the experiment's process ended without an answer, wait status {status}", "printed": text}


def _fork_first_process() -> int:
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    linux.unshare(linux.CLONE_NEWPID)
    child = os.fork()
    if child:
        # Without this the next cell could not get a PID namespace: one may only be made from one's own.
        linux.setns(own, linux.CLONE_NEWPID)
    os.close(own)
    return child


def _listen(answer: int, printed: int, channel: socket.socket, root: Root, end: float) -> tuple[str, bytes, bytes]:
    parts: list[bytes] = []
    size = 0
    words = b""
    request = b""
    poll = select.poll()
    for fd in (answer, printed, channel.fileno()):
        poll.register(fd, select.POLLIN)
    while True:
        ready = poll.poll(max(0.0, end - time.monotonic()) * 1000)
        if not ready:
            return "timeout", b"", words
        for fd, _ in ready:
            data = os.read(fd, 1 << 16)
            if fd == answer:
                if not data:
                    return "answered", b"".join(parts), words + _rest(printed)
                parts.append(data)
                size += len(data)
                if size > _MOST_ANSWER:
                    return "bounds", b"", words
            elif not data:
                poll.unregister(fd)
            elif fd == printed:
                words = (words + data)[-_MOST_PRINTED:]
            else:
                request += data
                while b"\n" in request:
                    line, _, request = request.partition(b"\n")
                    channel.sendall(root.answer(line))


def _rest(printed: int) -> bytes:
    os.set_blocking(printed, False)
    try:
        return os.read(printed, _MOST_PRINTED)
    except BlockingIOError:
        return b""


def _child(experiment: Experiment, variant: Mapping[str, str], answer: int, printed: int, root: Asking) -> NoReturn:
    try:
        linux.die_with_parent(signal.SIGKILL)
        os.setsid()
        for fd in (1, 2):
            os.dup2(printed, fd)
        data = json.dumps(_attempt(experiment, variant, root)).encode()
        while data:
            data = data[os.write(answer, data) :]
    except BaseException:  # nothing may return into the agent's own stack
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(0)


def _attempt(experiment: Experiment, variant: Mapping[str, str], root: Asking) -> Answer:
    lab = None
    answer: Answer
    try:
        _enter(variant.get("scope", "root"))
        lab = Lab(variant, root)
        answer = {"outcome": "answered", "facts": experiment.run(lab)}
    except (Unsupported, Refused) as refusal:
        answer = {"outcome": "unsupported", "reason": str(refusal)}
    except Exception:
        answer = {"outcome": "error", "reason": traceback.format_exc()}
    if lab:
        try:
            answer["evidence"] = lab.evidence()
        except Exception:  # the facts stand, whatever keeps us from showing what is behind them
            answer["evidence"] = {"evidence-error.txt": {"text": traceback.format_exc()}}
    return answer


def _enter(scope: str) -> None:
    if scope not in _SCOPES:
        raise ValueError(f"scope={scope} is neither of {', '.join(_SCOPES)}")
    random.seed()
    if scope == "root":
        linux.unshare(linux.CLONE_NEWNET | linux.CLONE_NEWNS)
    else:
        # As `unshare -Urn` does for an ordinary user: root in there, nobody out here.
        os.setgroups([])
        os.setresgid(_USER, _USER, _USER)
        os.setresuid(_USER, _USER, _USER)
        linux.set_dumpable()
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
        linux.set_dumpable()
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {_USER} 1"), ("gid_map", f"0 {_USER} 1")):
            with open(f"/proc/self/{name}", "w") as stream:  # noqa: PTH123  one write, as these files demand
                stream.write(text)
    lock_file()
