"""The process of one cell, which `guest.cell` forks and supervises: it enters fresh namespaces, is
told which experiment to run, and answers.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from guest import linux
from guest.catalogue import SCOPES, Experiment, Source
from guest.errors import Refused, Unsupported
from guest.lab.lab import Lab
from guest.lab.netns import Netns
from guest.lab.rules import lock_file
from guest.root import Asking

SCHEMA = 1
READY, CROWDED = b".", b"!"
"""What the process says once it is in its namespaces, and when there are too many of them."""
_USER = 1000
_CHUNK = 1 << 16
_GONE_SECONDS = 2.0
_POLL = 0.002

_Outcome = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """An experiment that is to be run with a variant.

    `seconds`, the time that the host gives it, is for messages. `modules` are the kernel modules
    that it needs. With a `source` it is the experiment of that text, not the one loaded here.
    """

    experiment: str
    variant: Mapping[str, str]
    seconds: float
    modules: tuple[str, ...] = ()
    source: Source | None = None

    @property
    def line(self) -> bytes:
        """What the cell's process is told, a line."""
        source = asdict(self.source) if self.source else None
        return json.dumps([self.experiment, dict(self.variant), source]).encode() + b"\n"


def live(
    scope: str, experiments: Mapping[str, Experiment], answer: int, printed: int, channel: socket.socket
) -> NoReturn:
    """What the process does from its fork on: it says when it is ready, waits for the line that
    names a cell, and writes the document with its answer. `answer` and `printed` are ends of pipes.
    """
    try:
        linux.die_with_parent(signal.SIGKILL)
        linux.die_before_others()
        os.setsid()
        for fd in (1, 2):
            os.dup2(printed, fd)
        root = Asking(channel)
        ready = _ready(scope)
        channel.sendall(CROWDED if ready is None else READY)
        name, variant, source = _told(channel)
        random.seed()  # not earlier: the kernel's entropy came with the request
        if isinstance(ready, Netns):
            found = _found(Lab(ready, root, variant), name, experiments, source)
        else:
            found = ready or {"outcome": "error", "reason": "earlier network namespaces are still there"}
        with contextlib.suppress(OSError, ValueError):  # an experiment may close even this
            sys.stdout.flush()
        data = memoryview(json.dumps({"schema": SCHEMA} | found).encode())
        while data:
            data = data[os.write(answer, data) :]
    except BaseException:  # must not return into the agent's stack
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(0)


def _told(channel: socket.socket) -> tuple[str, dict[str, str], Source | None]:
    """Waits for the line that names the cell to run, and returns what it says."""
    line = b""
    while not line.endswith(b"\n"):
        data = channel.recv(_CHUNK)
        if not data:
            raise EOFError("the agent is gone")
        line += data
    name, variant, source = json.loads(line)
    return name, variant, Source(**source) if source else None


def _found(lab: Lab, name: str, loaded: Mapping[str, Experiment], source: Source | None) -> _Outcome:
    """The answer of the experiment of this name: of the source, if there is one."""
    try:
        experiment = (source.load() if source else loaded)[name]
    except Exception:
        return {"outcome": "error", "reason": traceback.format_exc()}
    return _attempt(lab, experiment)


def _ready(scope: str) -> Netns | _Outcome | None:
    """Enters fresh namespaces and returns that of the network; if the kernel refuses one, the
    answer to whichever cell this process is told to run, or None if there are too many already.
    """
    try:
        _enter(scope)
        return Netns()
    except Unsupported as refusal:
        return {"outcome": "unsupported", "reason": str(refusal)}
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return None
        return {"outcome": "error", "reason": traceback.format_exc()}


def _attempt(lab: Lab, experiment: Experiment) -> _Outcome:
    answer: _Outcome
    try:
        answer = {"outcome": "answered", "facts": experiment.run(lab)}
    except (Unsupported, Refused) as refusal:
        answer = {"outcome": "unsupported", "reason": str(refusal)}
    except Exception:
        answer = {"outcome": "error", "reason": traceback.format_exc()}
    try:
        answer["evidence"] = lab.evidence()
    except Exception:  # facts without evidence are facts all the same
        answer["evidence"] = {"evidence-error.txt": {"text": traceback.format_exc()}}
    return answer


def _enter(scope: str) -> None:
    if scope not in SCOPES:
        raise ValueError(f"scope={scope} is neither of {', '.join(SCOPES)}")
    if scope == "root":
        # One after the other: where there is no room for a network namespace, a kernel (6.18.15)
        # that made a mount namespace in the same call leaves the process without a root directory.
        _unshare(linux.CLONE_NEWNET)
        linux.unshare(linux.CLONE_NEWNS)
    else:
        # As `unshare -Urn` does for an ordinary user: root in the namespace only.
        os.setgroups([])
        os.setresgid(_USER, _USER, _USER)
        os.setresuid(_USER, _USER, _USER)
        linux.set_dumpable()
        _unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
        linux.set_dumpable()
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {_USER} 1"), ("gid_map", f"0 {_USER} 1")):
            with open(f"/proc/self/{name}", "w") as stream:  # noqa: PTH123  one write, as these files demand
                stream.write(text)
    lock_file()


def _unshare(flags: int) -> None:
    """Makes new namespaces, and waits for room for them while the kernel removes earlier ones."""
    end = time.monotonic() + _GONE_SECONDS
    while True:
        try:
            return linux.unshare(flags)
        except OSError as error:
            if error.errno != errno.ENOSPC or time.monotonic() > end:
                raise
        time.sleep(_POLL)
