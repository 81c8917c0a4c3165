"""What a cell costs beyond what its experiment does: cloned, booted cold, and as virtme-ng runs one
command on the same kernel.
"""

from __future__ import annotations

import copy
import itertools
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from bench.figure import Figure
from bench.guests import MACHINES, answered, question, template
from matrix.run.cell import Question
from matrix.run.idle import idle
from vms.deadline import Deadline
from vms.errors import HostError
from vms.guest import running
from vms.qemu import Qemu
from vms.template import Template, clone_of

KERNEL = "6.12-generic"  # virtme-ng cannot boot a cloud kernel
CLONES, BASELINES, BOOTS = 15, 7, 3
_VNG_SECONDS = 180
_SOON = 60
_POLL = 0.001
_USER_SPACE = re.compile(r"\[ *(\d+\.\d+)\] Run /init as init process")


def measure() -> list[Figure]:
    """Runs cells one at a time."""
    cloned = template(KERNEL)
    if cloned.cold:
        raise HostError(f"{cloned.name} cannot be cloned here: {cloned.cold}")
    nothing = question("nothing", number="0")
    answered(cloned, nothing)  # reads the template's pages from disk
    clone = statistics.median(answered(cloned, nothing).seconds for _ in range(CLONES))
    parts = [clone_parts(cloned) for _ in range(CLONES)]
    started = statistics.median(one["exec"] + one["restore"] for one in parts)

    booted = copy.copy(cloned)
    booted.cold = "measured"
    outcomes = [answered(booted, nothing) for _ in range(BOOTS)]
    cold = statistics.median(outcome.seconds for outcome in outcomes)
    to_init = [float(found[1]) for outcome in outcomes if (found := _USER_SPACE.search(outcome.console))]

    vng = statistics.median(vng_seconds(cloned.machine.vmlinuz) for _ in range(BOOTS))

    whole = [
        answered(template("6.12"), question("baseline", frontend="legacy", scope="user")).seconds
        for _ in range(BASELINES)
    ]
    compared = _compared(clone, cold, vng, min(to_init, default=None))
    return [
        Figure(
            "clone_seconds",
            clone,
            "s",
            f"a cell that does nothing, cloned ({cloned.name})",
            started,
            "QEMU from exec to running",
            "at most 0.2",
            medians(parts),
        ),
        *compared,
        *_shared(clone, in_one_guest(cloned, nothing)),
        Figure(
            "baseline_seconds",
            statistics.median(whole),
            "s",
            "the seed's whole `baseline` cell, cloned (6.12)",
            clone,
            "a cell that does nothing",
            "at most 0.8",
        ),
    ]


def _compared(clone: float, cold: float, vng: float, to_init: float | None) -> list[Figure]:
    """What a clone is compared with, all in seconds; `to_init` is the kernel's own time."""
    return [
        Figure("cold_seconds", cold, "s", "the same, booted cold", to_init, "the kernel's own way to init"),
        Figure("vng_seconds", vng, "s", "virtme-ng, one command on the same kernel", to_init, "as above"),
        Figure("cold_ratio", cold / clone, "x", "cold boot against clone", goal="at least 20"),
        Figure("vng_ratio", vng / clone, "x", "virtme-ng against clone", goal="at least 45"),
    ]


def _shared(clone: float, shared: float) -> list[Figure]:
    """A cell of a guest that goes on answering, compared with a clone of its own; in seconds."""
    what = "the same in a guest that goes on answering, with the look whether anything is left"
    return [
        Figure("shared_seconds", shared, "s", what),
        Figure("shared_ratio", clone / shared, "x", "clone against such a guest", goal="at least 3"),
    ]


def in_one_guest(cloned: Template, asked: Question) -> float:
    """The median of the seconds that a cell takes in a guest that was asked it before."""
    again = replace(asked, own=False)
    try:
        outcomes = [answered(cloned, again) for _ in range(CLONES)]
    finally:
        idle.end_all()
    if left := [line for outcome in outcomes for line in outcome.asked.left]:
        raise HostError(f"{asked.what} left something in its guest: {left[0]}")
    return statistics.median(outcome.seconds for outcome in outcomes[1:])


def clone_parts(cloned: Template) -> dict[str, float]:
    """Where the time of one cloned cell goes, in seconds. SSH is not on its way."""
    machine = clone_of(cloned.machine, cloned.path)
    state = (cloned.path / "state").read_bytes()
    request = question("nothing", number="0").line("1")
    deadline = Deadline(_SOON, "an answer")
    times = [time.perf_counter()]
    with running(machine, cloned.name) as guest:
        guest.attach(deadline)
        times.append(time.perf_counter())
        guest.qemu.load(state, deadline)
        while not running_now(guest.qemu, deadline):
            time.sleep(_POLL)
        times.append(time.perf_counter())
        guest.ask(request, deadline)
        times.append(time.perf_counter())
        guest.console()
    times.append(time.perf_counter())
    return dict(
        zip(
            ("exec", "restore", "agent", "collect"),
            (b - a for a, b in itertools.pairwise(times)),
            strict=True,
        )
    )


def running_now(qemu: Qemu, deadline: Deadline) -> bool:
    """Whether it has taken its state and goes on."""
    status = qemu.execute("query-status", deadline)
    return isinstance(status, dict) and bool(status["running"])


def medians(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    """Each part's median."""
    listed = list(parts)
    return {name: statistics.median(one[name] for one in listed) for name in listed[0]}


def vng_seconds(
    vmlinuz: Path, run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
) -> float:
    """How long virtme-ng takes to boot the kernel, run one command and end.

    Raises HostError if the command did not run.
    """
    program = shutil.which("vng", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        raise HostError("vng is not installed; `./invoke bench` installs it")
    with tempfile.TemporaryDirectory(prefix="vng-") as directory:
        told = Path(directory) / "release"
        command = [program, "--run", str(vmlinuz), "--force-9p", "--cpus", "1", f"--rwdir={directory}"]
        if MACHINES.accelerator([]).name == "tcg":
            command.append("--disable-kvm")
        # it calls its parts by name
        environment = {**os.environ, "PATH": f"{Path(program).parent}:{os.environ['PATH']}"}
        began = time.perf_counter()
        try:
            done = run(
                [*command, "--", f"uname -r >{told}"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_VNG_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise HostError(f"vng did not end within {_VNG_SECONDS} s") from error
        seconds = time.perf_counter() - began
        # Its exit status is not the command's where it finds no udev on the host.
        if not told.exists():
            raise HostError(f"vng ran no command: exit status {done.returncode}: {done.stdout[-500:]}")
    return seconds
