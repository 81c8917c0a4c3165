"""Runs cells of misbehaving experiments and prints their answers; started by test_cell.py as root
of a user namespace of its own.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guest import cell, root
from guest.catalogue import Experiment, FactDict, Source
from guest.cell import Cells
from guest.errors import Unsupported
from guest.lab.lab import Lab
from guest.observe import kmsg
from guest.process import Asked

EDITED = """
from guest.catalogue import Fact, experiment

@experiment(facts=[Fact("number", int, "a number")])
def answers(lab):
    '''Which number?'''
    if lab.variant.get("breaks"):
        raise ValueError("of the text")
    return {"number": 8}
"""
UNDER_WAY = Path(tempfile.mkdtemp()) / "under-way"
SETTING = "/proc/sys/net/ipv4/ip_default_ttl"


def answers(lab: Lab) -> FactDict:
    print("this is not an answer")
    os.write(1, b'{"outcome": "forged"}\n')
    return {"number": 7, "pid": os.getpid(), "variant": dict(lab.variant)}


def looks_around(lab: Lab) -> FactDict:
    lab.sysctl("net/ipv4/ip_default_ttl", int(lab.read_sysctl("net/ipv4/ip_default_ttl")) + 1)
    return {
        "pid": os.getpid(),
        "ttl": lab.read_sysctl("net/ipv4/ip_default_ttl"),
        "frontend": lab.frontend,
        "families": [lab.family.value, lab.new_namespace().family.value],
        "began": lab.journal._start,
        "random": random.random(),
    }


def raises(lab: Lab) -> FactDict:
    raise RuntimeError("a bug of the experiment")


def refused(lab: Lab) -> FactDict:
    raise Unsupported("the kernel's message")


def dies(lab: Lab) -> FactDict:
    os._exit(9)


def hangs(lab: Lab) -> FactDict:
    print("about to hang", flush=True)
    subprocess.Popen(["sleep", "977"], start_new_session=True)
    UNDER_WAY.write_text("hanging")
    time.sleep(1000)
    return {}


def prints_for_ever(lab: Lab) -> FactDict:
    os.write(1, b"x" * 4096)
    UNDER_WAY.write_text("printing")
    while True:
        os.write(1, b"x" * 4096)


def answers_too_much(lab: Lab) -> FactDict:
    return {"text": "x" * (cell._MOST_ANSWER + 1)}


def leaves_a_process(lab: Lab) -> FactDict:
    subprocess.Popen(["sleep", "978"], start_new_session=True)
    return {}


def asks_root(lab: Lab) -> FactDict:
    lab.root.write(SETTING, 33)
    inside = lab.root.read(SETTING).strip()
    return {
        "inside": inside,
        "bad": lab.root.try_sysctl("net/ipv4/ip_default_ttl", "many"),
        "missing": lab.root.try_sysctl("net/no", 1),
    }


def sets_a_missing_sysctl(lab: Lab) -> FactDict:
    lab.root.sysctl("net/netfilter/no_such_knob", 1)
    return {"set": True}


def floods_root(lab: Lab) -> FactDict:
    channel = lab.root._stream
    channel.write(b'{"do": "answer", "arguments": []}\nnonsense\n[1]\n')
    channel.flush()
    return {"refusals": [json.loads(channel.readline())["refused"][:40] for _ in range(3)]}


def decoded(answer: cell.Answer) -> dict[str, Any]:
    """An answer as one dict, its header's fields beside those of the cell's process."""
    found: dict[str, Any] = json.loads(answer.whole)
    return {"facts": {}} | found | {"printed": answer.printed, "seconds": answer.seconds}


@contextmanager
def host() -> Iterator[int]:
    """A descriptor that has something to read once an experiment that does not end is under way."""
    os.mkfifo(UNDER_WAY)
    over = os.open(UNDER_WAY, os.O_RDWR | os.O_CLOEXEC)
    yield over
    os.close(over)
    UNDER_WAY.unlink()


def main() -> None:
    """Prints one JSON document: the answer of each."""
    with tempfile.NamedTemporaryFile("w") as log:
        real = kmsg.Log
        kmsg.Log = lambda: real(log.name)  # type: ignore[misc, assignment]
        _spare_this_machine()
        found: dict[str, Any] = {}
        for run in (
            answers,
            raises,
            refused,
            dies,
            leaves_a_process,
            asks_root,
            sets_a_missing_sysctl,
            floods_root,
            answers_too_much,
            hangs,
            prints_for_ever,
        ):
            made = Experiment(run.__name__, "test", "?", "?", run, (), (), {}, (), 1, 1)
            with host() as over:
                # Its seconds are for messages only: the host says when its time is over.
                cells = Cells({made.name: made}, over)
                found[run.__name__] = decoded(cells.run(Asked(made.name, {"scope": "root"}, 0.001)))
            if run is asks_root:
                found["settled"] = {"left": cells._restore(), "ttl": root.Root().read(SETTING).strip()}
        found["missing"] = decoded(Cells({}, -1).run(Asked("missing", {}, 5, ("no_such_module",))))
        found |= {
            "edited": _edited(EDITED),
            "broken": _edited("1 / 0"),
            "raising": _edited(EDITED, breaks="x"),
        }
        found["row"] = _in_a_row()
        found["after"] = {"sleeping": _sleepers()}
    shutil.rmtree(UNDER_WAY.parent)
    json.dump(found, sys.stdout)


def _edited(text: str, **variant: str) -> dict[str, Any]:
    """The answer to an experiment of a text, in a child that was made for the one loaded here."""
    loaded = Experiment("answers", "test", "?", "?", answers, (), (), {}, (), 1, 1)
    source = Source("guest.experiments.edited", "/home/me/edited.py", text)
    with host() as over:
        cells = Cells({"answers": loaded}, over)
        return decoded(cells.run(Asked("answers", {"scope": "root"} | variant, 20.0, source=source)))


def _spare_this_machine() -> None:
    """Keeps the limit of processes as it is: no namespace has one of its own, so root would set
    that of this machine, and others may not.
    """
    write = root.Root.write

    def write_others(self: root.Root, path: str, value: str) -> None:
        if path != cell.PROCESSES:
            write(self, path, value)

    root.Root.write = write_others  # type: ignore[method-assign]


def _in_a_row() -> dict[str, Any]:
    """What was there before the first cell, then three cells: the first in the child that was made
    ahead, the others in new ones.
    """
    looks = Experiment("looks", "test", "?", "?", looks_around, (), (), {}, (), 1, 1)
    never, _ = os.pipe()
    cells = Cells({"looks": looks}, never)
    cells.prepare()
    ahead = len(children())
    time.sleep(1)
    asked = time.monotonic()
    variant = {"scope": "root", "frontend": "legacy", "family": "ipv6"}
    answers = [decoded(cells.run(Asked("looks", variant, 20.0))) for _ in range(3)]
    left = len(children())
    root.Root.modprobe = lambda *_: True  # type: ignore[method-assign]  # as if it had not been loaded yet
    again = Asked("looks", {"scope": "user", "frontend": "legacy"}, 20.0, ("any",))
    answers.append(decoded(cells.run(again)))
    found = {
        "ahead": ahead,
        "asked": asked,
        "left": left,
        "after_module": len(children()),
        "facts": [answer["facts"] for answer in answers[:3]],
    }
    real = random.seed
    random.seed = lambda: real(7)  # type: ignore[assignment, misc]  # only a child that calls random.seed draws these numbers
    return found | {"drawn": decoded(cells.run(Asked("looks", {"scope": "root"}, 20.0)))["facts"]["random"]}


def children() -> list[str]:
    """The processes started by this one."""
    return Path("/proc/self/task", str(os.getpid()), "children").read_text().split()


def _sleepers() -> list[str]:
    return subprocess.run(
        ["pgrep", "-f", "^sleep 97[78]"], capture_output=True, text=True, check=False
    ).stdout.split()


if __name__ == "__main__":
    main()
