"""Suites: directories of test programs that judge themselves, each run as a cell."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from guest.catalogue import Experiment, Facts, Invariant
from matrix.plan.plan import SUITE
from matrix.script.guests import (
    Ending,
    answer,
    experiment_name,
    missing_program,
    program_experiment,
)
from matrix.script.packetdrill import LACKED, PROGRAM, RUN, check_program, scripts_in
from matrix.script.script import Script
from matrix.script.verdicts import Result, read_verdict
from vms.answer import Answer
from vms.cache import Cache
from vms.errors import UsageError
from vms.kernels.helpers import build_helpers
from vms.kernels.selftests import debian_selftests
from vms.settings import Debian
from vms.suggest import suggestion

TOOLS = ("ebtables", "ethtool", "iperf3", "iputils-ping", "ipvsadm", "net-tools", "socat", "traceroute")
"""Debian packages that the kernel's tests, and packetdrill, need besides those of every guest."""

_FORMS = "directory:PATH, packetdrill:PATH, selftests:linux-source-X.Y and selftests:tree:PATH"
_TESTS = Path("tools/testing/selftests")
_PLACES = ("net/netfilter", "netfilter")  # since 6.10, before
_SHARED = ("net/lib.sh", "net/lib", "net/net_helper.sh", "kselftest", "lib.sh")
_VARIABLE = r"^{name}[ \t]*[:+]?=[ \t]*((?:.*\\\n)*.*)$"


class Tested(Facts):
    """What is compared of a test program."""

    verdict: Annotated[str, "what the program said as a whole: ok, fail or xfail (an expected failure)"]
    ok: Annotated[list[str], "the parts of it that passed"]
    fail: Annotated[list[str], "the parts that failed"]
    skip: Annotated[list[str], "the parts that were left out, for lack of what they need"]
    xfail: Annotated[list[str], "the parts that failed as their authors expect"]


@dataclass(frozen=True)
class Suite:
    """Test programs. `files` are those of the directory that a guest is given, `place` is where in
    it the programs are. `lacks` maps programs that cannot run to what is missing. `tools` are on
    the PATH. With a `runner`, a script for sh, that runs each program: `$1`, in the directory `$2`.
    """

    name: str
    programs: tuple[str, ...]
    files: Mapping[str, Path]
    place: str = "."
    lacks: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, Path] = field(default_factory=dict)
    runner: str = ""

    def only(self, globs: Sequence[str]) -> tuple[str, ...]:
        """The programs that any of these globs names, all without any; a glob need not have the
        suffix. Raises UsageError for a glob that names none.
        """
        found: set[str] = set()
        for glob in globs:
            named = {
                program
                for program in self.programs
                if fnmatch.fnmatch(program, glob) or fnmatch.fnmatch(Path(program).stem, glob)
            }
            if not named:
                raise UsageError(
                    f"--only {glob!r}: {self.name} has no such program; {suggestion(glob, self.programs)}"
                )
            found |= named
        return tuple(program for program in self.programs if program in found or not globs)

    def script(self, program: str, *, seconds: float, cpus: int, memory: int) -> Script:
        """A program as a script. The kernel's tests do less work on slow machines if told so; they
        always are, so that answers do not depend on the accelerator.
        """
        words: tuple[str, ...] = (f"./{program}",)
        if self.runner:
            words = ("sh", "-c", self.runner, "sh", program, Path(self.place).name)
        words = ("env", "-C", self.place, "KSFT_MACHINE_SLOW=yes", *words)
        if missing := self.lacks.get(program):
            words = ("sh", "-c", f'echo "SKIP: $1"; exit {_SKIPPED}', "sh", missing)
        return Script(
            program,
            words,
            self.files,
            seconds=seconds,
            cpus=cpus,
            memory=memory,
            keep=False,
            tools=self.tools,
        )


_SKIPPED = 4


def read_suite(
    text: str, settings: Debian, cache: Cache, *, offline: bool = False, packetdrill: Path | None = None
) -> Suite:
    """The suite that a user named, with the user's packetdrill on the PATH.

    Raises UsageError if there is none, FetchError if its package cannot be fetched.
    """
    tools = {}
    if packetdrill:
        check_program(packetdrill)
        tools[PROGRAM] = packetdrill
    kind, _, rest = text.partition(":")
    if kind == "directory" and rest:
        return replace(_directory(text, Path(rest)), tools=tools)
    if kind == "packetdrill" and rest:
        return _packetdrill(text, Path(rest), tools)
    if kind == "selftests" and rest.startswith("tree:"):
        return _selftests(text, Path(rest.removeprefix("tree:")) / _TESTS, cache, tools)
    if kind == "selftests" and rest.startswith("linux-source-"):
        return _selftests(text, debian_selftests(rest, settings, cache, offline=offline), cache, tools)
    raise UsageError(f"suite {text!r}: suites are named {_FORMS}")


def _directory(text: str, path: Path) -> Suite:
    if not path.is_dir():
        raise UsageError(f"suite {text}: there is no such directory")
    entries = sorted(path.iterdir())
    programs = tuple(entry.name for entry in entries if entry.is_file() and os.access(entry, os.X_OK))
    if not programs:
        raise UsageError(f"suite {text}: none of its files is executable")
    return Suite(text, programs, {entry.name: entry for entry in entries})


def _packetdrill(text: str, path: Path, tools: Mapping[str, Path]) -> Suite:
    scripts = scripts_in(path, text)
    name = path.resolve().name
    lacks = {} if tools else dict.fromkeys(scripts, LACKED)
    return Suite(text, scripts, {name: path}, name, lacks, tools, RUN)


def _selftests(text: str, tests: Path, cache: Cache, tools: Mapping[str, Path]) -> Suite:
    name = next((place for place in _PLACES if (tests / place / "Makefile").is_file()), None)
    if name is None:
        raise UsageError(f"suite {text}: there is no {_PLACES[0]}/Makefile in {tests}")
    place = tests / name
    makefile = (place / "Makefile").read_text(errors="replace")
    programs = tuple(name for name in _words(makefile, "TEST_PROGS") if (place / name).is_file())
    if not programs:
        raise UsageError(f"suite {text}: {place / 'Makefile'} names no programs")
    built = (*_words(makefile, "TEST_GEN_FILES"), *_words(makefile, "TEST_GEN_PROGS"))
    called = _called(place, programs, {one for one in built if not (place / one).is_file()})
    helpers = build_helpers(place, {helper for needed in called.values() for helper in needed}, cache)
    files = {one: tests / one for one in (name, *_SHARED) if (tests / one).exists()}
    files |= {f"{name}/{helper}": path for helper, path in helpers.built.items()}
    lacks = dict(_lacking(called, helpers.failed))
    if not tools:
        lacks |= {program: LACKED for program in programs if PROGRAM in program}
    return Suite(text, programs, files, name, lacks, tools)


def _called(place: Path, programs: Iterable[str], helpers: set[str]) -> dict[str, list[str]]:
    """The helpers that each program starts, of those that are not there."""
    found = {}
    for program in programs:
        text = (place / program).read_text(errors="replace")
        found[program] = sorted(name for name in helpers if re.search(rf"\./{re.escape(name)}\b", text))
    return found


def _lacking(called: Mapping[str, Sequence[str]], failed: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Programs that start a helper which could not be built, with why."""
    for program, helpers in called.items():
        missing = [f"{name}, built from C: {failed[name]}" for name in helpers if name in failed]
        if missing:
            yield program, f"needs {'; '.join(missing)}"


def _words(makefile: str, name: str) -> tuple[str, ...]:
    """The words of a variable of a Makefile."""
    values = re.findall(_VARIABLE.format(name=name), makefile, re.MULTILINE)
    return tuple(word for value in values for word in value.replace("\\\n", " ").split() if "$" not in word)


def experiments_of(suite: Suite, scripts: Mapping[str, Script]) -> dict[str, Experiment]:
    """An experiment for each program, by its name."""
    passes = Invariant("the test passes", lambda facts, _variant: facts["verdict"] != Result.FAIL)
    found: dict[str, Experiment] = {}
    for program, script in scripts.items():
        name = experiment_name(SUITE, Path(program).stem)
        if name in found:
            name = experiment_name(SUITE, program)
        question = f"What does {program} of {suite.name} say?"
        found[name] = program_experiment(name, question, Tested.declared, script, invariants=(passes,))
    return found


def read_test(ending: Ending) -> Answer:
    """The verdict of a test program: `unsupported`, with what is missing, if it was skipped."""
    if ending.attempt is None:
        return answer(
            "answered", Tested(verdict=Result.FAIL, ok=[], fail=["it ended the guest"], skip=[], xfail=[])
        )
    output, errors = (
        part.decode(errors="replace") for part in (ending.attempt.output, ending.attempt.errors)
    )
    if ending.attempt.status is None:
        return answer("timeout", None, ending, "it printed without end")
    if ending.attempt.status in (126, 127) and (program := missing_program(errors)):
        return answer("unsupported", None, ending, f"the guests have no {program}")
    said = read_verdict(ending.attempt.status, f"{output}\n{errors}")
    if said.result is Result.SKIP:
        return answer("unsupported", None, ending, said.reason)
    facts = Tested(
        verdict=said.result.value,
        ok=said.named(Result.OK),
        fail=said.named(Result.FAIL),
        skip=said.named(Result.SKIP),
        xfail=said.named(Result.XFAIL),
    )
    return answer("answered", facts, ending)
