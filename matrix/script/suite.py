"""Suites: directories of test programs that judge themselves, each run as a cell."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from matrix.script.script import Script
from matrix.script.verdicts import Result, read_verdict
from vms.answer import Answer
from vms.cache import Cache
from vms.errors import UsageError
from vms.kernels.selftests import debian_selftests
from vms.settings import Debian
from vms.suggest import suggestion

TOOLS = ("ebtables", "ethtool", "iperf3", "iputils-ping", "ipvsadm", "socat", "traceroute")
"""Debian packages that the kernel's tests need besides those of every guest."""

_FORMS = "directory:PATH, selftests:linux-source-X.Y and selftests:tree:PATH"
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
    it the programs are. `lacks` maps programs that cannot run to what is missing.
    """

    name: str
    programs: tuple[str, ...]
    files: Mapping[str, Path]
    place: str = "."
    lacks: Mapping[str, str] | None = None

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
        words = ("env", "-C", self.place, "KSFT_MACHINE_SLOW=yes", f"./{program}")
        if missing := (self.lacks or {}).get(program):
            words = ("sh", "-c", f'echo "SKIP: $1"; exit {_SKIPPED}', "sh", missing)
        return Script(program, words, self.files, seconds=seconds, cpus=cpus, memory=memory, keep=False)


_SKIPPED = 4


def read_suite(text: str, settings: Debian, cache: Cache, *, offline: bool = False) -> Suite:
    """The suite that a user named.

    Raises UsageError if there is none, FetchError if its package cannot be fetched.
    """
    kind, _, rest = text.partition(":")
    if kind == "directory" and rest:
        return _directory(text, Path(rest))
    if kind == "selftests" and rest.startswith("tree:"):
        return _selftests(text, Path(rest.removeprefix("tree:")) / _TESTS)
    if kind == "selftests" and rest.startswith("linux-source-"):
        return _selftests(text, debian_selftests(rest, settings, cache, offline=offline))
    raise UsageError(f"suite {text!r}: suites are named {_FORMS}")


def _directory(text: str, path: Path) -> Suite:
    if not path.is_dir():
        raise UsageError(f"suite {text}: there is no such directory")
    entries = sorted(path.iterdir())
    programs = tuple(entry.name for entry in entries if entry.is_file() and os.access(entry, os.X_OK))
    if not programs:
        raise UsageError(f"suite {text}: none of its files is executable")
    return Suite(text, programs, {entry.name: entry for entry in entries})


def _selftests(text: str, tests: Path) -> Suite:
    place = next((place for place in _PLACES if (tests / place / "Makefile").is_file()), None)
    if place is None:
        raise UsageError(f"suite {text}: there is no {_PLACES[0]}/Makefile in {tests}")
    makefile = (tests / place / "Makefile").read_text(errors="replace")
    programs = tuple(name for name in _words(makefile, "TEST_PROGS") if (tests / place / name).is_file())
    if not programs:
        raise UsageError(f"suite {text}: {tests / place / 'Makefile'} names no programs")
    built = (*_words(makefile, "TEST_GEN_FILES"), *_words(makefile, "TEST_GEN_PROGS"))
    helpers = {name for name in built if not (tests / place / name).is_file()}
    lacks = dict(_lacking(tests / place, programs, helpers))
    files = {name: tests / name for name in (place, *_SHARED) if (tests / name).exists()}
    return Suite(text, programs, files, place, lacks)


def _lacking(place: Path, programs: Iterable[str], helpers: set[str]) -> Iterator[tuple[str, str]]:
    """Programs that start a C program which is not there, with what is missing."""
    for program in programs:
        text = (place / program).read_text(errors="replace")
        called = sorted(name for name in helpers if re.search(rf"\./{re.escape(name)}\b", text))
        if called:
            yield program, f"needs {' and '.join(called)}, built from C in the kernel's tree (make)"


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
