"""Reads what a test program said of itself: its exit code, KTAP, TAP, and the lines that the
scripts of the kernel and of the netfilter project's programs print.

KTAP is described in the kernel's Documentation/dev-tools/ktap.rst.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """How a program, or a part of it, ended. `xfail`: it failed, as its authors expect here."""

    OK = "ok"
    FAIL = "fail"
    SKIP = "skip"
    XFAIL = "xfail"


@dataclass(frozen=True)
class ProgramResult:
    """The result of a program and of its parts, by their names; `reason` says why it was skipped or
    what failed first.
    """

    result: Result
    parts: Mapping[str, Result]
    reason: str = ""

    def named(self, result: Result) -> list[str]:
        """The names of the parts that ended so, sorted."""
        return sorted(name for name, found in self.parts.items() if found is result)


_MOST_PARTS = 900
_NAME_CHARACTERS = 200
_LINE_CHARACTERS = 1_000
# tools/testing/selftests/kselftest.h; 77 is automake's
_BY_CODE = {0: Result.OK, 2: Result.XFAIL, 4: Result.SKIP, 77: Result.SKIP}
_WORDS = {
    "ok": Result.OK,
    "pass": Result.OK,
    "passed": Result.OK,
    "fail": Result.FAIL,
    "failed": Result.FAIL,
    "error": Result.FAIL,
    "skip": Result.SKIP,
    "skipped": Result.SKIP,
    "xfail": Result.XFAIL,
    "not ok": Result.FAIL,
}
_WORST_FIRST = (Result.FAIL, Result.XFAIL, Result.SKIP, Result.OK)
# `ok 1 - name # SKIP why`, indented or after `# ` if it is a program's within another
_TAP = re.compile(
    r"[ \t#]{0,40}(?P<word>not ok|ok) {1,4}\d{1,6}(?: {0,4}-)? {0,4}(?P<name>[^#]{0,400})"
    r"(?:# {0,4}(?P<directive>SKIP|TODO|XFAIL)\b(?P<why>.{0,400}))?",
    re.IGNORECASE,
)
_PLAN = re.compile(r"[ \t#]{0,40}1\.\.0 {0,4}# {0,4}SKIP\b(?P<why>.{0,400})", re.IGNORECASE)
# `PASS: name`, `SKIP: why`; of the names in capitals only, which sentences do not begin with
_BEFORE = re.compile(
    r"[ \t]{0,40}(?P<word>PASS|OK|FAIL|ERROR|SKIP|XFAIL)(?:ED)?(?::| {1,4}-) {0,9}(?P<name>.{1,400})"
)
# `TEST: name   [ OK ]`, `name: OK`
_AFTER = re.compile(
    r"[ \t]{0,40}(?:TEST: {0,4})?(?P<name>[^\[]{1,400}?)[ \t.:]{0,120}"
    r"\[ {0,4}(?P<word>OK|PASS|FAIL|SKIP|XFAIL) {0,4}\].{0,80}",
    re.IGNORECASE,
)
# `FAIL (name): what was seen`
_WITHIN = re.compile(r"[ \t]{0,40}(?P<word>PASS|OK|FAIL|SKIP) {0,4}\((?P<name>.{1,400})\):.{0,400}")
# `name ... OK`, `name      FAIL`
_LAST = re.compile(
    r"[ \t]{0,40}(?P<name>\S.{0,400}?)(?: {0,4}\.{3}| {2}) {0,80}(?P<word>OK|PASS|FAIL|SKIP)", re.ASCII
)
# of iptables and nftables: `I: [OK]  ./testcases/a_0`, `W: [FAILED]  3/380 testcases/a: got 1`
_MARKED = re.compile(
    r"[IWE]: \[(?P<word>OK|FAILED|SKIPPED)\] {1,40}(?:\d{1,6}/\d{1,6} {1,4})?(?:\./)?"
    r"(?P<name>[^\s:]{1,400})(?::? .{0,400})?"
)
# of iptables-test.py: `extensions/a.t: OK(ip6tables)`, `extensions/a.t: ERROR: line 3 (cannot ...)`
_FILE = re.compile(r"(?P<name>[^\s:]{1,400}\.t): (?P<word>OK|ERROR)\b.{0,900}")
_TOTALS = re.compile(r"[IWE]: .{0,40}results: \[.{0,200}")
_FORMS = (_BEFORE, _MARKED, _FILE, _AFTER, _WITHIN, _LAST)
# What is another in each run: namespaces named by mktemp, addresses of attempts, times.
_RANDOM = (
    (re.compile(r"\b((?:ns|client|server|router|gateway|c|r)[a-z]{0,8}\d{0,2})-[A-Za-z0-9]{6}\b"), r"\1"),
    (re.compile(r"\b([a-z_]{1,12}\d{0,2})-(?=[a-z]{0,5}[A-Z0-9])[A-Za-z0-9]{6}\b"), r"\1"),
    (re.compile(r"\b(attempt|after|in|took|pid) \d{1,9}(?:\.\d{1,9})?\b"), r"\1 N"),
    (re.compile(r"\b(port) \d{5}\b"), r"\1 N"),  # of those that kernels choose
    (re.compile(r"\b\d{1,9}(?:\.\d{1,9})? ?(?:ms|s|secs|seconds)\b"), "N s"),
    (re.compile(r"/tmp/[\w.-]{1,80}"), "/tmp/FILE"),
)


def read_verdict(code: int, output: str) -> ProgramResult:
    """The verdict of a program that ended with this exit code and printed this."""
    lines = [line[:_LINE_CHARACTERS].rstrip() for line in output.splitlines()]
    parts: dict[str, Result] = {}
    for name, result in _parts(lines):
        known = parts.get(name, Result.OK)
        if name in parts or len(parts) < _MOST_PARTS:
            parts[name] = min(known, result, key=_WORST_FIRST.index)
    result = _BY_CODE.get(code, Result.FAIL)
    if result is Result.OK and any(_tap_failed(line) for line in lines):
        result = Result.FAIL  # of TAP the lines count, not the exit code
    if result is Result.OK and any(_PLAN.match(line) for line in lines):
        result = Result.SKIP
    return ProgramResult(result, parts, _reason(result, code, lines))


def stable(name: str) -> str:
    """A part's name without what is another in each run."""
    for pattern, instead in _RANDOM:
        name = pattern.sub(instead, name)
    return " ".join(name.split())[:_NAME_CHARACTERS]


def _parts(lines: Iterable[str]) -> Iterator[tuple[str, Result]]:
    for line in lines:
        if found := _TAP.fullmatch(line):
            result = _tap(found)
            name = found["name"].strip()
        elif _TOTALS.fullmatch(line):
            continue
        elif found := next(filter(None, (form.fullmatch(line) for form in _FORMS)), None):
            result = _WORDS[found["word"].lower()]
            name = found["name"]
        else:
            continue
        if name := stable(name):
            yield name, result


def _tap(found: re.Match[str]) -> Result:
    directive = (found["directive"] or "").upper()
    if directive == "SKIP":
        return Result.SKIP
    if directive:  # TODO, XFAIL: a failure is expected
        return Result.XFAIL if found["word"].lower() == "not ok" else Result.OK
    return _WORDS[found["word"].lower()]


def _tap_failed(line: str) -> bool:
    found = _TAP.fullmatch(line)
    return bool(found) and _tap(found) is Result.FAIL if found else False


def _reason(result: Result, code: int, lines: list[str]) -> str:
    if result is Result.OK:
        return ""
    word = (
        "SKIP" if result is Result.SKIP else "XFAIL" if result is Result.XFAIL else "FAIL(?:ED)?|ERROR|not ok"
    )
    said = [line.strip() for line in lines if re.search(rf"\b(?:{word})\b", line, re.IGNORECASE)]
    last = [line.strip() for line in lines if line.strip()][-1:]
    return stable((said or last or [f"it printed nothing and ended with {code}"])[0])
