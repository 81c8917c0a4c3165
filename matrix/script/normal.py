"""Normalises output, so that it only differs between kernels where they differ.

What changes from run to run on one kernel is replaced by a word: times, process ids, addresses,
names made at random, and the kernel's own release.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

IGNORED = "…"
"""What stands for an ignored part; a line of which nothing else is left is not compared."""

_MAC = r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.ASCII), instead)
    for pattern, instead in (
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?", "<time>"),
        (r"\b\d\d:\d\d:\d\d[.,]\d{1,9}\b", "<time>"),
        (r"\b\d\d:\d\d:\d\d\b", "<time>"),
        (r"^\[ {0,8}\d{1,10}\.\d{6}\]", "[<time>]"),
        (r"\b(?:\d{1,9}\.\d{1,9} ?(?=(?:s|secs?|seconds)\b)|\d{1,9} ?(?=[num]s\b))", "<number> "),
        (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "<uuid>"),
        (rf"\b{_MAC}\b", "<mac>"),
        (r"\bfe80::[0-9a-f:]{1,40}", "<link-local>"),
        (r"\b402653\d{4}\b", "<namespace>"),  # namespaces are numbered from 0xf0000000 on
        (r"\b0x[0-9a-fA-F]{8,16}\b", "<address>"),
        (r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{16}\b", "<address>"),
        (r"(\btmp[.-]?)(?=[A-Za-z0-9_]*[A-Z0-9_])[A-Za-z0-9_]{6,12}\b", r"\1<random>"),
        (r"(?i)(\bpid[ =:]{1,2}|\bprocess )\d{1,7}\b", r"\1<pid>"),
        (r"(: line \d{1,6}:) +\d{1,7} ", r"\1 <pid> "),  # bash, of a job that was killed
        (r"^(\[\d{1,4}\]) \d{1,7}$", r"\1 <pid>"),  # bash, of a job that was started
    )
)
# The seconds left of an entry of conntrack -L are rounded up: one passes while it is listed.
_ENTRY = re.compile(r"^((?:\w{1,12} +\d{1,3} +)?\w{1,12} +\d{1,3} )(\d{1,7})(?= .{0,60}\bsrc=)", re.ASCII)
_LADDER = (1, 3, 5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 86_400, 432_000)


def normalised(line: str, release: str, ignored: Sequence[re.Pattern[str]] = ()) -> str:
    """A line of output as it is compared. `release` is what the kernel calls itself; what one of
    `ignored` matches is replaced by IGNORED.

    >>> normalised("23:59:59.123456 tun0 In IP", "6.1.0")
    '<time> tun0 In IP'
    """
    for pattern in ignored:
        line = pattern.sub(IGNORED, line)
    if release:
        line = line.replace(release, "<release>")
    for rule, instead in _RULES:
        line = rule.sub(instead, line)
    return _ENTRY.sub(_rounded, line)


def _rounded(entry: re.Match[str]) -> str:
    left = int(entry[2])
    step = next((step for step in _LADDER if left <= step), left)
    return f"{entry[1]}<={step}"
