"""Parses kernel specs, the language in which users name kernels.

    6.12                newest build of the series
    6.12.117            newest build of that release
    6.12.90-2           that build, by its package version
    6.12.*              every build of the series
    5.10..7.3           newest of every series between
    5.10.*..6.12.90     every build between
    lts newest all      newest of each longterm series, newest of all, every build
    host                the kernel that this machine runs
    debian:6.12.117+deb13-cloud-amd64[=6.12.117-1]    that exact package
    deb:FILE[,FILE...]  rpm:FILE[,FILE...]  tree:DIRECTORY  image:VMLINUZ[,modules=DIRECTORY]

A flavour may follow the specs of the first seven lines: `6.12-rt`, `all-generic`; without it they
mean Debian's cloud flavour. `mine=SPEC` gives the kernel a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from vms.errors import UsageError
from vms.kernels.order import normal_release, release_key
from vms.program import COMMAND
from vms.suggest import suggestion

FLAVOURS = ("cloud", "generic", "rt")
WORDS = ("lts", "newest", "all")
SCHEMES = ("debian", "deb", "rpm", "tree", "image")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*")
_POINT = re.compile(
    r"(?P<series>\d+\.\d+)"
    r"(?:(?P<every>\.\*)|(?P<point>\.\d+)?(?:[~-](?P<rc>rc\d+))?(?P<revision>-\d[A-Za-z0-9+~]*(?:\.[A-Za-z0-9+~]+)*)?)"
)
_EXACT = re.compile(
    r"(?:linux-image-)?(?P<abi>\d[A-Za-z0-9.+~-]*-amd64)(?:=(?P<version>\d[A-Za-z0-9.+~-]*))?"
)


@dataclass(frozen=True)
class Point:
    """A place in the order of kernels: a series (`6.12`), a release (`6.12.117`, `7.3~rc7`) or a
    build (`6.12.90-2`).

    `every` is whether it was written `6.12.*`.
    """

    text: str
    every: bool = False

    @property
    def is_series(self) -> bool:
        """Whether it is a series rather than a release or build."""
        return re.fullmatch(r"\d+\.\d+", self.text) is not None


@dataclass(frozen=True)
class Builds:
    """Debian builds from `low` to `high` (the same for a single one)."""

    low: Point
    high: Point
    flavour: str


@dataclass(frozen=True)
class Word:
    """`lts`, `newest` or `all`."""

    word: str
    flavour: str


@dataclass(frozen=True)
class Exact:
    """A Debian package by its name without `linux-image-`; `version` is empty for any version."""

    package: str
    version: str


@dataclass(frozen=True)
class Local:
    """A kernel on this machine: `host`, or a scheme and its paths as written.

    `modules` is only used with `image:`.
    """

    scheme: str
    paths: tuple[str, ...] = ()
    modules: str = ""


@dataclass(frozen=True)
class Spec:
    """One parsed spec; `name` is empty unless the user gave one."""

    text: str
    name: str
    what: Builds | Word | Exact | Local


def parse(text: str, source: str = "kernel spec") -> Spec:
    """Raises UsageError that points at the first wrong character. `source` begins the message: the
    flag or the field of matrix.toml that the text is from.
    """
    return _Parser(text, source).parse()


class _Parser:
    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source
        self.at = 0

    def parse(self) -> Spec:
        if not self.text.strip():
            raise UsageError(
                f"{self.source}: a kernel is missing; give for example 6.12, or see `{COMMAND} kernels`"
            )
        if bad := re.search(r"[\x00-\x1f\x7f]|^\s|\s$", self.text):
            self.fail("a space or a control character is not allowed here", bad.start())
        name = self._name()
        return Spec(self.text, name, self._what())

    def fail(self, message: str, at: int | None = None) -> NoReturn:
        place = self.at if at is None else at
        shown = re.sub(r"[\x00-\x1f\x7f]", "?", self.text)
        raise UsageError(f"{self.source}: {message}\n    {shown}\n    {' ' * place}^")

    @property
    def rest(self) -> str:
        return self.text[self.at :]

    def _name(self) -> str:
        name, equals, _ = self.text.partition("=")
        if not equals or ":" in name:
            return ""
        if not name:
            self.fail("a name is missing before '='")
        match = NAME.match(name)
        end = match.end() if match else 0
        if end < len(name):
            self.fail(
                f"{name[end]!r} is not allowed in a kernel's name; letters, digits and . _ + ~ - are", end
            )
        self.at = len(name) + 1
        return name

    def _what(self) -> Builds | Word | Exact | Local:
        if not self.rest:
            self.fail("a kernel is missing here")
        scheme = re.match(r"([^:/=]*):", self.rest)
        if scheme:
            if scheme[1] not in SCHEMES:
                self.fail(f"there is no source {scheme[1]!r}; {suggestion(scheme[1], SCHEMES)}")
            self.at += scheme.end()
            return self._exact() if scheme[1] == "debian" else self._local(scheme[1])
        if self.rest[0].isdigit():
            return self._builds()
        word = re.match(r"[^-]*", self.rest)
        found = word[0] if word else ""
        if self.rest == "host":
            return Local("host")
        if found not in WORDS:
            words = (*WORDS, "host")
            self.fail(
                f"expected a series like 6.12, a source like deb: or a word; {suggestion(found, words)}"
            )
        self.at += len(found)
        return Word(found, self._flavour())

    def _builds(self) -> Builds:
        low = high = self._point()
        if self.rest.startswith(".."):
            self.at += 2
            second = self.at
            high = self._point()
            if release_key(high.text) < release_key(low.text):
                self.fail(f"a range goes from old to new, and {high.text} is before {low.text}", second)
        return Builds(low, high, self._flavour())

    def _point(self) -> Point:
        match = _POINT.match(self.rest)
        if not match:
            digits = re.match(r"\d*\.?", self.rest)
            self.at += digits.end() if digits else 0
            self.fail("expected a number: a series is two numbers, like 6.12")
        self.at += match.end()
        release = match["series"] + (match["point"] or "") + (f"-{match['rc']}" if match["rc"] else "")
        return Point(normal_release(release) + (match["revision"] or ""), every=bool(match["every"]))

    def _flavour(self) -> str:
        if not self.rest:
            return FLAVOURS[0]
        if not self.rest.startswith("-"):
            hint = ""
            if re.match(r".*-amd64", self.rest):
                hint = f"; an exact package is written debian:{self.text.rpartition('=')[2]}"
            self.fail(f"unexpected {self.rest[0]!r}{hint}")
        self.at += 1
        if self.rest not in FLAVOURS:
            self.fail(f"there is no flavour {self.rest!r}; {suggestion(self.rest, FLAVOURS)}")
        return self.rest

    def _exact(self) -> Exact:
        match = _EXACT.fullmatch(self.rest)
        if not match:
            partial = re.match(
                r"(?:linux-image-)?(?:\d[A-Za-z0-9.+~-]*)?(?:=(?:\d[A-Za-z0-9.+~-]*)?)?", self.rest
            )
            self.at += partial.end() if partial else 0
            self.fail(
                "expected a package like 6.12.117+deb13-cloud-amd64, or one with its version like"
                " 6.1.0-56-cloud-amd64=6.1.192-2"
            )
        return Exact(match["abi"], match["version"] or "")

    def _local(self, scheme: str) -> Local:
        paths: list[str] = []
        modules = ""
        for part in self.rest.split(","):
            if (scheme == "tree" and paths) or modules:
                self.at -= 1
                self.fail("unexpected ','")
            if scheme == "image" and paths:
                key, _, modules = part.partition("=")
                if key != "modules" or not modules:
                    self.fail("expected modules=DIRECTORY")
            elif part:
                paths.append(part)
            else:
                self.fail("a path is missing here")
            self.at += len(part) + 1
        return Local(scheme, tuple(paths), modules)
