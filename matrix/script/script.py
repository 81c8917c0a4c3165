"""What a user wants to run in guests: a program, its files, arguments and surroundings."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from vms.errors import UsageError

PLACE = "/run/script"
"""Where a guest has the files of a script."""
ENTRIES = ("run", "run.sh", "run.bash", "run.py", "__main__.py")
"""The program in a directory: the first of these names that it has."""

_MOST_FILES = 64 << 20
_INTERPRETERS = {".sh": "bash", ".bash": "bash", ".py": "python3"}
_SYSCTL = re.compile(r"([a-z][\w./-]{0,120})=([^/\x00-\x1f\x7f]{1,100})", re.ASCII)
_SHEBANG = re.compile(rb"#![ \t]*([^ \t\n]{1,200})[ \t]*([^\n]{0,200})")
_ACCOMMODATIONS = Path(__file__).with_name("accommodations")
_PYTHON = "/usr/bin/python3"
_USER = 1000
# Runs its arguments. The usual file of locks is root's, and a user's iptables could not open it.
# Guests have no udev, which links a process's open files into /dev: bash's <(...) needs that. Each
# program that is started here takes a tenth of a second under TCG.
_ENTER = """\
[ -L /dev/fd ] || cp --no-dereference {place}/dev/* /dev || exit
export PATH={place}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PYTHONPATH={place}/python LC_ALL=C.UTF-8 HOME={place}/work XTABLES_LOCKFILE=/tmp/xtables.lock
cd {place}/work || exit
{before}exec {prefix}"$@"
"""
_DEVICES = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
# Who opens /dev/stderr again needs the right to it, whoever has it open.
_OWNED = f"chown -R {_USER}:{_USER} . || exit\nchown {_USER}:{_USER} /dev/stdin /dev/stdout /dev/stderr\n"
_UNPRIVILEGED = f"setpriv --reuid={_USER} --regid={_USER} --clear-groups unshare -Urn -- "
# longer than the steps of the clock by which files are newer
_BEGAN = f": >{PLACE}/began && sleep 0.02\n"


@dataclass(frozen=True)
class Script:
    """A program to be run in guests.

    `command` are its words, run in the directory of `files`, which maps names there to files and
    directories of this host. `user`: as root of a namespace made by an unprivileged user, with
    `unshare -Urn`, else as root of the guest. `sysctls` are set before. `seconds` bounds a run,
    `memory` is in MiB, and 0 means the usual amount. `ignored` are regular expressions for parts
    of its output that are not to be compared. `capture`: with a capture of the initial namespace;
    `keep`: the files that it writes are kept and compared. `tools` are programs on its PATH.
    """

    name: str
    command: tuple[str, ...]
    files: Mapping[str, Path]
    user: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    seconds: float = 60.0
    cpus: int = 1
    memory: int = 0
    ignored: tuple[re.Pattern[str], ...] = ()
    capture: bool = False
    keep: bool = True
    tools: Mapping[str, Path] = field(default_factory=dict)

    @cached_property
    def packed(self) -> bytes:
        """A tar of all that is pushed into a guest, to be unpacked at PLACE. There `enter` runs its
        arguments among the files, as the user that `user` says, and `stdin` is the standard input.

        Raises UsageError for a file that cannot be read or is no file, and above 64 MiB.
        """
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name in ("bin", "python"):
                archive.add(_ACCOMMODATIONS / name, name, filter=_accommodation)
            for name, path in self.tools.items():
                archive.add(path.resolve(), f"bin/{name}", filter=_accommodation)
            for name, target in _DEVICES.items():
                _add_link(archive, f"dev/{name}", target)
            before = (_OWNED if self.user else "") + (_BEGAN if self.keep else "")
            prefix = _UNPRIVILEGED if self.user else ""
            enter = _ENTER.format(place=PLACE, before=before, prefix=prefix).encode()
            for name, content in (("enter", enter), ("stdin", self.stdin)):
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o644
                archive.addfile(member, io.BytesIO(content))
            _add_files(archive, self.files)
        return packed.getvalue()

    def check(self) -> None:
        """Raises UsageError if it cannot be packed, or if its capture would miss its packets."""
        if self.capture and self.user:
            raise UsageError(
                "--capture with --user: packets are captured in the guest's initial namespace, but the"
                " script has one of its own; call tcpdump -w in the script"
            )
        _ = self.packed

    @cached_property
    def digest(self) -> str:
        """A digest that changes with anything that could change what a guest answers."""
        rest = [self.command, sorted(self.sysctls.items()), self.seconds, self.memory, self.capture]
        ignored = [pattern.pattern for pattern in self.ignored]
        return hashlib.sha256(repr([rest, ignored]).encode() + self.packed).hexdigest()[:32]


def command_of(path: Path) -> tuple[str, ...]:
    """The words that run a file in its directory, as `./NAME`, or with its interpreter if it is not
    executable and begins with `#!` or has the suffix of a script for bash or Python.

    Raises UsageError if it cannot be run.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise UsageError(f"script {path}: it is neither a file nor a directory")
        with path.open("rb") as file:
            beginning = file.read(512)
    except OSError as error:
        raise UsageError(f"script {path}: {error.strerror}") from error
    name = f"./{path.name}"
    if not beginning:
        raise UsageError(f"script {path}: the file is empty")
    if mode & 0o111 and beginning.startswith((b"#!", b"\x7fELF")):
        return (name,)
    if found := _SHEBANG.match(beginning):
        return (*(os.fsdecode(word) for word in found.groups() if word), name)
    if path.suffix in _INTERPRETERS:
        return _INTERPRETERS[path.suffix], name
    if mode & 0o111:
        return "sh", name
    raise UsageError(
        f"script {path}: it is not executable, does not begin with #!, and its name ends in none of"
        f" {', '.join(_INTERPRETERS)}; make it executable with: chmod +x {path}"
    )


def read_program(path: Path) -> tuple[Path, dict[str, Path]]:
    """The file to be run and the files of its working directory: of a directory its entry, and all
    that it holds.

    Raises UsageError if there is nothing to be run.
    """
    if not path.is_dir():
        return path, {path.name: path}
    for name in ENTRIES:
        if (path / name).is_file():
            return path / name, {entry.name: entry for entry in sorted(path.iterdir())}
    raise UsageError(
        f"script {path}: the directory has no program to begin with; call it one of {', '.join(ENTRIES)}"
    )


def with_pushed(files: Mapping[str, Path], pushed: Sequence[str]) -> dict[str, Path]:
    """The files of the working directory with those of `--push` beside them.

    Raises UsageError for one that does not exist, or has the name of another.
    """
    found = dict(files)
    for text in pushed:
        path = Path(text)
        if not path.exists():
            raise UsageError(f"--push {text}: no such file or directory")
        name = path.resolve().name
        if found.get(name, path) != path:
            raise UsageError(f"--push {text}: the script's directory has another {name} already")
        found[name] = path
    return found


def parse_pulled(texts: Sequence[str]) -> dict[str, Path]:
    """The files of `--pull FILE` and `--pull FILE=COPY` in the guest, with the paths of their
    copies here. Raises UsageError for a copy that exists already.
    """
    found: dict[str, Path] = {}
    for text in texts:
        source, _, target = text.partition("=")
        path = Path(target or PurePosixPath(source).name)
        if not source or not path.name:
            raise UsageError(f"--pull {text!r}: give FILE or FILE=COPY, for example /tmp/x.pcap=x.pcap")
        if path.exists() or path in found.values():
            raise UsageError(f"--pull {text}: {path} exists already; name another with FILE=COPY")
        found[source] = path
    return found


def parse_sysctls(texts: Sequence[str]) -> dict[str, str]:
    """The values of `--sysctl NAME=VALUE` by name, with dots. Raises UsageError."""
    found = {}
    for text in texts:
        match = _SYSCTL.fullmatch(text)
        if not match:
            raise UsageError(
                f"--sysctl {text!r}: give NAME=VALUE, for example net.netfilter.nf_conntrack_max=7"
            )
        found[match[1].replace("/", ".")] = match[2]
    return found


def parse_ignored(texts: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    """The regular expressions of `--ignore`. Raises UsageError."""
    found = []
    for text in texts:
        try:
            found.append(re.compile(text))
        except re.error as error:
            raise UsageError(f"--ignore {text!r} is not a regular expression: {error}") from error
    return tuple(found)


def _add_files(archive: tarfile.TarFile, files: Mapping[str, Path]) -> None:
    """Adds the files as the directory `work`. In place of virtual environments, whose Python is
    this host's, there are links to the guest's Python, which has scapy.
    """
    size = 0
    environments = {PurePosixPath("venv"), PurePosixPath(".venv")}
    for top, path in files.items():
        for name, source in _walk(PurePosixPath(top), path):
            environments.discard(name)
            if (source / "pyvenv.cfg").is_file():
                environments.add(name)
                continue
            try:
                size += source.lstat().st_size
                if size > _MOST_FILES:
                    raise UsageError(
                        f"script: {source} and the files before it are more than {_MOST_FILES >> 20} MiB;"
                        " push only what the script needs"
                    )
                archive.add(source.resolve() if source == path else source, f"work/{name}", recursive=False)
            except OSError as error:
                raise UsageError(f"script: {source} cannot be read: {error.strerror}") from error
    directory = tarfile.TarInfo("work")
    directory.type, directory.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(directory)
    for name in sorted(environments):
        for python in ("python", "python3"):
            _add_link(archive, f"work/{name}/bin/{python}", _PYTHON)


def _add_link(archive: tarfile.TarFile, name: str, target: str) -> None:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, target
    archive.addfile(link)


def _walk(name: PurePosixPath, path: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """Every file and directory from `path` on with its name in the guest, without the contents of
    virtual environments.
    """
    yield name, path
    if path.is_dir() and not (path / "pyvenv.cfg").is_file():
        for entry in sorted(path.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                yield from _walk(name / entry.name, entry)
            elif entry.is_file() or entry.is_symlink():
                yield name / entry.name, entry


def _accommodation(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    info.mode = 0o755  # an installation from a wheel may have lost it
    return None if "__pycache__" in info.name else info
