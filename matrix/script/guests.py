"""Guests that run scripts instead of experiments.

To a run they are guests like any other: the request is answered with facts and evidence, which the
host judges and records. Nothing is asked of the agent; the script is pushed and run over SSH.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec

from guest.catalogue import Experiment, Fact, Facts, Invariant
from matrix.plan.plan import SCRIPT
from matrix.results.manifest import Surroundings
from matrix.results.record import FACT_ITEMS
from matrix.run.executor import Executor
from matrix.run.machines import Machines
from matrix.script.capture import FILE, start_capture, stop_capture
from matrix.script.normal import IGNORED, normalised
from matrix.script.script import PLACE, Script
from matrix.script.written import Written, as_evidence, compared, pull_written
from vms.answer import Answer
from vms.boot import Boot
from vms.deadline import Deadline
from vms.errors import LostGuest
from vms.guest import Guest
from vms.hardware import Hardware
from vms.kernels.kernel import BootFiles, Kernel
from vms.ssh import Attempt, Ssh
from vms.template import Template

TOPIC = "script"
"""The topic of all scripts."""
ALONE = "a program of the user's may leave anything behind"
"""Why each of these has a guest of its own."""
MOST_OUTPUT = 4 << 20
"""A script that prints more is ended, in bytes."""

BY_ITSELF = "by itself"
FLOOD = f"it printed more than {MOST_OUTPUT >> 20} MiB"
POWER = "it ended the guest"
MISSING = "a program is missing: "

_AFTER_SECONDS = 30.0  # for what follows the script's end
_LINE_CHARACTERS = 1_000
_MOST_LINES = FACT_ITEMS - 1
_MOST_LOG = 200  # different lines
_FIRST_SIGNAL = 128  # a shell adds the number of the signal that killed a program
_NOT_RUN = (126, 127)
# bash, dash, env
_NOT_FOUND = re.compile(
    r"^/.{1,60}/enter: \d{1,2}: exec: (?P<run>[^/].{0,99}): not found$"  # there, without its interpreter
    r"|^(?:.{0,200}: )?(?P<shell>[^:\s]{1,100}): (?:command )?not found$"
    r"|^env: .(?P<env>[^\s:]{1,100}).: No such file or directory$"
    r"|: cannot execute: required file not found$",
    re.MULTILINE,
)


class Ran(Facts):
    """What is compared of a script that ran."""

    exit_code: Annotated[int, "the exit code, 128 and the signal's number if one killed it; -1 without one"]
    ended: Annotated[str, "how it ended: by itself, by a signal, or why it was ended"]
    lines: Annotated[dict[str, int], "how often it printed each line, normalised, in whatever order"]
    errors: Annotated[dict[str, int], "the same of its standard error"]
    kernel_log: Annotated[list[str], "what the kernel logged meanwhile, each line once, normalised"]
    files: Annotated[list[str], "the files that it wrote in its directory, a digest of each normalised text"]


def experiment_of(script: Script) -> tuple[Experiment, dict[str, str]]:
    """The script as an experiment, and the variant of it that is to be run."""
    variant = {"scope": "user" if script.user else "root"} | dict(script.sysctls)
    experiment = program_experiment(
        experiment_name(SCRIPT, script.name),
        f"What does {script.name} print?",
        Ran.declared,
        script,
        doc=f"\n\nRun as `{shlex.join(script.command)}`.",
        variants={name: (value,) for name, value in variant.items()},
    )
    return experiment, variant


def experiment_name(kind: str, program: str) -> str:
    """The name of a program as an experiment, made of what such names may have."""
    return f"{kind}-{re.sub(r'[^A-Za-z0-9._-]', '-', program)}"


def program_experiment(
    name: str,
    question: str,
    facts: Sequence[Fact],
    script: Script,
    *,
    doc: str = "",
    variants: Mapping[str, tuple[str, ...]] | None = None,
    invariants: Sequence[Invariant] = (),
) -> Experiment:
    """A program of the user's as an experiment; `doc` follows its question."""
    return Experiment(
        name=name,
        topic=TOPIC,
        question=question,
        doc=question + doc,
        run=unasked,
        facts=tuple(facts),
        invariants=tuple(invariants),
        variants=variants or {},
        modules=(),
        seconds=script.seconds,
        cpus=script.cpus,
        alone=ALONE,
    )


def unasked(_lab: object) -> dict[str, Any]:
    """Stands for the function of an experiment that is a script."""
    raise NotImplementedError("a script is run over SSH, not by the agent")


@dataclass(frozen=True)
class Ending:
    """How a script ended in a guest whose kernel calls itself `release`, the kernel's log
    meanwhile, what was captured, and the files that it wrote. `attempt` is None if it switched the
    guest off.
    """

    script: Script
    release: str
    attempt: Attempt | None = None
    log: str = ""
    capture: bytes = b""
    written: tuple[Written, ...] = ()

    def normalised(self, line: str) -> str:
        """A line that the script printed or wrote, as it is compared."""
        return normalised(line[:_LINE_CHARACTERS], self.release, self.script.ignored)


Read = Callable[[Ending], Answer]
"""Makes facts of an ending that is neither a timeout nor the guest's loss."""


class ScriptGuests:
    """Guests of this machine that run scripts, by the names of their experiments. `read` makes
    facts of what they did.
    """

    def __init__(self, machines: Machines, scripts: Mapping[str, Script], read: Read) -> None:
        self._machines = machines
        self._scripts = scripts
        self._read = read

    def executor(self, jobs: int) -> Executor:
        """The executor of this machine."""
        return self._machines.executor(jobs)

    def prepare(self, kernels: Sequence[Kernel]) -> Surroundings:
        """As for all guests. The digest of what runs in a guest covers the scripts."""
        found = self._machines.prepare(kernels)
        every = " ".join((found.agent, *(script.digest for script in self._scripts.values())))
        return replace(found, agent=hashlib.sha256(every.encode()).hexdigest())

    def fetch(self, kernel: Kernel) -> BootFiles:
        """Fetches and verifies the kernel's files."""
        return self._machines.fetch(kernel)

    def template(self, files: BootFiles, hardware: Hardware) -> ScriptTemplate:
        """The kernel's template, whose guests run the scripts."""
        return ScriptTemplate(
            self._machines.template(files, hardware), self._scripts, self._read, files.version
        )


class ScriptTemplate:
    """A template whose guests run scripts. `release` is what the kernel calls itself."""

    def __init__(self, template: Template, scripts: Mapping[str, Script], read: Read, release: str) -> None:
        self._template = template
        self._scripts = scripts
        self._read = read
        self._release = release

    @property
    def boot(self) -> Boot:
        """What the kernel reported of itself while it booted."""
        return self._template.boot

    def make(self) -> None:
        """Boots the kernel and saves it, unless that was done."""
        self._template.make()

    @contextmanager
    def start(self) -> Iterator[ScriptGuest]:
        """A new guest that ends with the context."""
        with self._template.start() as guest:
            yield ScriptGuest(guest, self._scripts, self._read, self._release)


class _Request(msgspec.Struct):
    experiment: str


@dataclass(frozen=True)
class ScriptGuest:
    """A guest that runs a script when it is asked the script's experiment."""

    guest: Guest
    scripts: Mapping[str, Script]
    read: Read
    release: str

    @property
    def crashed(self) -> str | None:
        """The line of the console that names why the kernel crashed."""
        return self.guest.crashed

    @property
    def resident(self) -> int:
        """Bytes of memory that it does not share with its template."""
        return self.guest.resident

    def console(self) -> str:
        """What its console printed."""
        return self.guest.console()

    def ask(self, request: bytes, deadline: Deadline, _limit: Deadline | None = None) -> Answer:
        """Runs the script to its end, or to its limits, and returns facts and evidence.

        Raises LostGuest if the guest is lost by other means than being switched off by the script.
        """
        script = self.scripts[msgspec.json.decode(request, type=_Request).experiment]
        try:
            with self.guest.ssh(deadline) as ssh:
                return self._run(script, ssh, self.guest.by_own_clock(deadline))
        except LostGuest:
            if not self.guest.switched_off:
                raise
            return self.read(Ending(script, self.release))

    def _run(self, script: Script, ssh: Ssh, deadline: Deadline) -> Answer:
        ssh.push_packed(script.packed, PLACE, deadline)
        if script.sysctls:
            words = [f"{name}={value}" for name, value in script.sysctls.items()]
            done = ssh.run(f"PATH=/usr/sbin:/sbin:$PATH sysctl -q -w -- {shlex.join(words)} 2>&1", deadline)
            if done.status:
                return answer("unsupported", reason=done.output.strip())
        if script.capture and (refused := start_capture(ssh, deadline)):
            return answer("unsupported", reason=f"--capture: {refused}")
        seconds = script.seconds
        limit = self.guest.by_own_clock(Deadline(seconds, f"{script.name} to end"))
        after = self.guest.by_own_clock(Deadline(seconds + _AFTER_SECONDS, "what follows the script"))
        program = shlex.join(script.command)
        # `exit`: sshd reports no status of a program that it started itself and a signal ended
        command = f"dmesg --clear; sh {PLACE}/enter {program} <{PLACE}/stdin; exit $?"
        attempt = ssh.attempt(command, limit, MOST_OUTPUT, after)
        log = ssh.run("dmesg --notime", after).output
        capture = stop_capture(ssh, after) if script.capture else b""
        written = pull_written(ssh, after) if script.keep else ()
        ending = Ending(script, self.release, attempt, log, capture, written)
        if attempt.status is None and not attempt.flooded:
            return answer("timeout", None, ending, f"did not end within {seconds:g} s (--timeout)")
        return self.read(ending)


def read_script(ending: Ending) -> Answer:
    """What is compared of a user's script."""
    if ending.attempt is None:
        return answer(
            "answered", Ran(exit_code=-1, ended=POWER, lines={}, errors={}, kernel_log=[], files=[])
        )
    attempt = ending.attempt
    output, errors = (part.decode(errors="replace") for part in (attempt.output, attempt.errors))
    facts = Ran(
        exit_code=-1 if attempt.status is None else attempt.status,
        ended=_ended(attempt, errors),
        lines=_counted(output, ending),
        errors=_counted(errors, ending),
        kernel_log=sorted(_counted(ending.log, ending))[:_MOST_LOG],
        files=compared(ending.written, ending.normalised),
    )
    return answer("answered", facts, ending)


def _counted(text: str, ending: Ending) -> dict[str, int]:
    lines = Counter(map(ending.normalised, text.splitlines()))
    del lines[IGNORED]
    return _bounded(lines)


def missing_program(errors: str) -> str:
    """The program that a shell did not find, by its errors; empty if none is named."""
    found = _NOT_FOUND.search(errors)
    if found is None:
        return ""
    return found["shell"] or found["env"] or f"interpreter for {found['run'] or 'the script'}"


def _ended(attempt: Attempt, errors: str) -> str:
    if attempt.status is None:
        return FLOOD
    if attempt.status in _NOT_RUN and (program := missing_program(errors)):
        return MISSING + program
    try:
        return signal.Signals(attempt.status - _FIRST_SIGNAL).name
    except ValueError:
        return BY_ITSELF


def _bounded(lines: Counter[str]) -> dict[str, int]:
    """The lines, or as many as a fact holds and a digest of the others."""
    if len(lines) <= _MOST_LINES:
        return dict(lines)
    kept = dict(sorted(lines.items())[:_MOST_LINES])
    others = sorted((lines - Counter(kept)).items())
    digest = hashlib.sha256(repr(others).encode()).hexdigest()[:16]
    return kept | {f"… {len(others):,} more different lines, sha256 {digest}": sum(n for _, n in others)}


def answer(
    outcome: str, facts: Facts | None = None, ending: Ending | None = None, reason: str = ""
) -> Answer:
    """What a guest would answer: an outcome, facts, and as evidence what the script and the kernel
    printed, what was captured, and the files that the script wrote.
    """
    attempt = ending.attempt if ending else None
    printed = {"output.txt": attempt.output, "errors.txt": attempt.errors} if attempt else {}
    evidence = {
        name: {"text": content.decode(errors="replace")} for name, content in printed.items() if content
    }
    kept = {FILE: ending.capture} if ending and ending.capture else {}
    for name, content in (kept | as_evidence(ending.written if ending else ())).items():
        evidence[name] = {"base64": base64.b64encode(content).decode()}
    document = {
        "schema": 1,
        "outcome": outcome,
        "reason": reason,
        "facts": vars(facts) if facts else {},
        "evidence": evidence,
    }
    header = {"dmesg": ending.log if ending else "", "printed": ""}
    return Answer(msgspec.json.encode(header), msgspec.json.encode(document))
