"""Unpacks the files of a kernel from package files, .deb or .rpm, or the kernel's own tests from a
package of its source, whose content is not trusted.

A system program turns a package into a tar stream and writes nothing; this module writes the files,
after checking each name. It writes only plain files of a kernel and never a link, so nothing
outside the target can be touched, whatever the package holds.
"""

from __future__ import annotations

import re
import shlex
import tarfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from vms import tool
from vms.deadline import Deadline
from vms.errors import FetchError
from vms.kernels.kernel import shortened
from vms.kernels.limits import Limit

_SECONDS = 300
_DEB = b"!<arch>\n"
_CHUNK = 1 << 20
_MOST_FILES = 50_000
_MOST_BYTES = 4 << 30
_CHANGELOG_BYTES = 16 << 20  # compressed

# libarchive bounds headers and names, and writes the holes of sparse files as zeros; tarfile does
# neither. A .deb file is an archive whose member data.tar.* is the archive of its files.
_CONVERT = ("bsdtar", "--create", "--format", "gnutar", "--file", "-")
_DATA = 'bsdtar --extract --to-stdout --file "$1" "data.tar*"'
_Wanted = tuple[tuple[re.Pattern[str], Limit], ...]

_PART = r"[A-Za-z0-9_.+~,@=-]+"
# The files of a kernel, and how large each may be. What comes before `lib/modules` is dropped.
_WANTED = (
    (re.compile(rf"(?P<place>boot/vmlinuz{_PART}|boot/vmlinuz)"), Limit.VMLINUZ),
    (re.compile(rf"(usr/)?(?P<place>lib/modules/{_PART}/vmlinuz)"), Limit.VMLINUZ),
    (re.compile(rf"(?P<place>boot/config-{_PART})"), Limit.CONFIG),
    (re.compile(rf"(usr/)?(?P<place>lib/modules/{_PART}/config)"), Limit.CONFIG),
    (re.compile(rf"(usr/)?(?P<place>lib/modules/{_PART}/modules\.{_PART})"), Limit.LIST),
    (re.compile(rf"(usr/)?(?P<place>lib/modules/{_PART}(/{_PART})+)"), Limit.MODULE),
)
_CHANGELOG = re.compile(rf"usr/share/doc/{_PART}/changelog(\.Debian)?\.gz")
_TESTS = "tools/testing/selftests"
# Those of networking, and what they read; `netfilter` is where they were before 6.10.
_TESTS_WANTED = (
    (
        re.compile(rf"{_PART}/{_TESTS}/(?P<place>(net|netfilter|kselftest|lib)(/{_PART})+|{_PART}\.h)"),
        Limit.TEST,
    ),
)
_DIRECTORY = re.compile(rf"boot|lib|usr|usr/lib|(usr/)?lib/modules(/{_PART})?")


def extract(package: Path, target: Path) -> None:
    """Writes the kernel's files of a package below `target`: `boot/vmlinuz*`, `boot/config-*` and
    `lib/modules/VERSION/...`, wherever the package has them.

    Raises FetchError if the package is damaged, has a link where a directory must be, or more than
    a kernel can need; HostError if it takes too long or the disk is full.
    """
    deadline = Deadline(_SECONDS, f"unpacking {package.name}")
    with _opened(package, deadline) as archive:
        _extract(archive, package.name, target, deadline, _WANTED)


def extract_selftests(package: Path, target: Path) -> None:
    """Writes the networking selftests of a kernel's source, from Debian's package linux-source-X.Y,
    below `target`: `net/...`, and `netfilter/...` of a kernel before 6.10.

    Raises as `extract` does.
    """
    places = ("net/*", "netfilter/*", "kselftest/*", "lib/*", "*.h")
    convert = [*_CONVERT, *(f"--include=linux-source-*/{_TESTS}/{place}" for place in places)]
    source = 'bsdtar --extract --to-stdout --file - "./usr/src/linux-source-*.tar.xz"'
    script = f"{_DATA} | {source} | {shlex.join(convert)} @-"
    deadline = Deadline(_SECONDS, f"unpacking {package.name}")
    with _streamed(["sh", "-c", script, "sh", str(package)], package, deadline) as archive:
        _extract(archive, package.name, target, deadline, _TESTS_WANTED)


def changelog(package: Path) -> bytes:
    """The distribution's changelog in a package, compressed as it is there; empty if it has none.

    Raises as `extract` does.
    """
    deadline = Deadline(_SECONDS, f"reading the changelog in {package.name}")
    with _opened(package, deadline) as archive:
        files = 0
        for files, member in enumerate(archive, 1):
            deadline.check()
            if files > _MOST_FILES:
                break
            found = _CHANGELOG.fullmatch(member.name.removeprefix("./")) and member.isreg()
            if found and member.size <= _CHANGELOG_BYTES and (content := archive.extractfile(member)):
                return content.read()
    if not files:
        raise FetchError(f"{package.name} is damaged: it holds no files")
    return b""


def _opened(package: Path, deadline: Deadline) -> AbstractContextManager[tarfile.TarFile]:
    """The archive of a package's files. Raises FetchError if it is damaged."""
    with package.open("rb") as file:
        is_deb = file.read(len(_DEB)) == _DEB
    if is_deb:
        script = f"{_DATA} | {shlex.join(_CONVERT)} @-"
        return _streamed(["sh", "-c", script, "sh", str(package)], package, deadline)
    return _streamed([*_CONVERT, f"@{package}"], package, deadline)


@contextmanager
def _streamed(command: list[str], package: Path, deadline: Deadline) -> Iterator[tarfile.TarFile]:
    """The archive that a command prints of a package. Raises FetchError if it is damaged."""
    tool.require(_CONVERT[0], deadline.what)  # of a pipe that sh(1) starts, all would seem damaged
    try:
        with (
            tool.output_of(command, deadline) as stream,
            tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK) as archive,
        ):
            yield archive
    except tool.ToolFailed as error:
        words = " ".join(error.output.split())
        raise FetchError(f"{package.name} is damaged: {words}") from error
    except (tarfile.TarError, EOFError, OverflowError, ValueError) as error:
        deadline.check()
        raise FetchError(f"{package.name} is damaged: {error}") from error


def _extract(archive: tarfile.TarFile, name: str, target: Path, deadline: Deadline, wanted: _Wanted) -> None:
    files = size = 0
    for member in archive:
        deadline.check()
        files += 1
        if files > _MOST_FILES:
            raise FetchError(f"{name} holds more than {_MOST_FILES} files, which no kernel does")
        path = member.name.removeprefix("./").strip("/")
        if _DIRECTORY.fullmatch(path) and not member.isdir():
            raise FetchError(f"{name}: {path} must be a directory; in this package it is a link or a file")
        place = _place(member, path, name, wanted)
        if place is None:
            continue
        size += member.size
        if size > _MOST_BYTES:
            raise FetchError(f"{name} unpacks to more than {_MOST_BYTES >> 30} GiB, which no kernel does")
        content = archive.extractfile(member)
        if content:
            _write(content, target / place, deadline)
            (target / place).chmod(0o755 if member.mode & 0o100 else 0o644)
    if not files:
        raise FetchError(f"{name} is damaged: it holds no files")


def _place(member: tarfile.TarInfo, path: str, name: str, wanted: _Wanted) -> str | None:
    """Where a member belongs below the target; None for what is no plain file of a kernel."""
    if not member.isreg() or any(part in ("", ".", "..") for part in path.split("/")):
        return None
    for pattern, limit in wanted:
        match = pattern.fullmatch(path)
        if match:
            if member.size > limit.most:
                raise FetchError(
                    f"{name}: {shortened(path)} has {member.size} bytes, too many for {limit.what}"
                )
            return match["place"]
    return None


def _write(content: IO[bytes], path: Path, deadline: Deadline) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while chunk := content.read(_CHUNK):
            deadline.check()
            file.write(chunk)
