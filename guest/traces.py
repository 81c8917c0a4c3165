"""Tells what a cell has left behind in the machine: how the initial namespaces, the kernel and the
files are, compared with how they were when the template was taken.

A look costs an emulated guest some tens of milliseconds: no program is started, and of the
thousand settings under /proc/sys and /sys/module only those are read again that somebody wrote to,
which inotify(7) tells, and those that matter most here.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import struct
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from guest import linux, netlink
from guest.family import Family
from guest.netlink import Netlink

_SYSCTLS = Path("/proc/sys")
_MODULES = Path("/sys/module")
# What changes without being written to, and the limits that the kernel derives from each other.
_ALWAYS = (
    "kernel/tainted",
    "net/netfilter/nf_conntrack_count",
    "net/netfilter/nf_conntrack_buckets",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_expect_max",
)
# Settings that the kernel itself changes, and one that acts when it is read.
_RESTLESS = {
    "kernel/ns_last_pid",
    "kernel/perf_cpu_time_max_percent",
    "kernel/perf_event_max_sample_rate",
    "vm/stat_refresh",
}
_FILLED = ("/", "/dev", "/dev/shm", "/run", "/tmp")
_TEMPORARY = "/tmp"
_UNUSED_SECONDS = 2.0
_POLL = 0.002
_MOST_READ = 1 << 16
_MOST_LINES = 20
_MOST_CHARACTERS = 200

# include/uapi/linux/inotify.h
_IN_MODIFY, _IN_Q_OVERFLOW = 0x2, 0x4000
_EVENT = struct.Struct("=iIII")
# include/uapi/linux/rtnetlink.h, netfilter/nfnetlink.h, nfnetlink_conntrack.h, nf_tables.h
_GET_RULE, _GET_GENERATION, _GET_EXPECTATIONS = 34, 10 << 8 | 16, 2 << 8 | 1
_GENERATION = 1
_PF_KTHREAD = 0x200000  # include/linux/sched.h
# include/uapi/linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h
_GET_INFO, _GET_ENTRIES = 64, 65
_INFO = struct.Struct("=32sI5I5III")
_ENTRIES = struct.Struct("=32sI4x")

_State = dict[str, str | bytes | None]


class Traces:
    """How the machine is when this is made, and what differs from that later.

    Slab and memory may change by `slab` and `memory` KiB: caches fill, and what each cell leaves
    adds up.
    """

    def __init__(self, slab: int = 24 << 10, memory: int = 96 << 10) -> None:
        self._most = {"SUnreclaim": slab, "MemAvailable": memory}
        self._writes = _Writes()
        for top in (_SYSCTLS, *_MODULES.glob("*/parameters")):
            self._writes.watch(top)
        self._netfilter, self._route = Netlink(netlink.NETFILTER), Netlink(netlink.ROUTE)
        self._settings = {path: _read(path) for path in self._writes.settings}
        self._before = self._state()
        self._memory = _memory()
        self._processes = _processes()

    def undo(self) -> list[str]:
        """Removes temporary files and unloads modules that were not there before, waiting for those
        to become unused; returns what the kernel refuses, a line each.

        The kernel also loads modules by itself, when rules need them.
        """
        for name in _names(_TEMPORARY):
            if f"file {_TEMPORARY}/{name}" not in self._before:
                path = Path(_TEMPORARY, name)
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        end = time.monotonic() + _UNUSED_SECONDS
        while left := [name for name in _modules() if f"module {name}" not in self._before]:
            refusals = [f"module {name}: {refusal}" for name in left if (refusal := _unload(name))]
            if refusals and time.monotonic() > end:
                return refusals
            if refusals:
                time.sleep(_POLL)
        return []

    def found(self, own: Collection[int] = ()) -> list[str]:
        """What differs, a line each; empty if the machine is as it was.

        `own` are processes that the agent itself has started since.
        """
        lines = []
        written, missed = self._writes.since()
        if missed:
            lines.append("settings: more were written to than the kernel counts")
        for path in sorted(written & self._settings.keys()):
            lines += _difference(_name(path), self._settings[path], _read(path))
        now = self._state()
        for name in sorted(self._before.keys() | now.keys()):
            lines += _difference(name, self._before.get(name), now.get(name))
        memory = _memory()
        for name, most in self._most.items():
            if abs(memory[name] - self._memory[name]) > most:
                lines.append(f"memory: {name} is {memory[name]} kB, was {self._memory[name]} kB")
        for pid in sorted(_processes() - self._processes - set(own)):
            if process := _process(pid):
                lines.append(f"process: {process}")
        return [line[:_MOST_CHARACTERS] for line in dict.fromkeys(lines)][:_MOST_LINES]

    def _state(self) -> _State:
        found: _State = {_name(path): _read(path) for path in (f"{_SYSCTLS}/{name}" for name in _ALWAYS)}
        for name in _modules():
            found[f"module {name}"] = _inode(f"{_MODULES}/{name}")  # another one once it is loaded anew
        for name in _names("/sys/class/net"):
            found[f"interface {name}"] = _read(f"/sys/class/net/{name}/flags")
        for name in _names(_TEMPORARY):
            found[f"file {_TEMPORARY}/{name}"] = "there"
        for path in _FILLED:
            found[f"files in {path}"] = _filled(path)
        found["addresses"] = (_read("/proc/net/if_inet6") or "") + (_read("/proc/net/fib_trie") or "")
        found["mounts"] = _read("/proc/self/mountinfo")
        return found | self._rules()

    def _rules(self) -> _State:
        """Rules, and what else of the firewall there is in the initial network namespace."""
        found: _State = {}
        with _told(found, "nft rules"):
            (answer,) = self._netfilter.ask(_GET_GENERATION, bytes(4))
            # every change of the rules makes a new generation
            found["nft rules"] = netlink.attributes(answer.payload[4:])[_GENERATION].hex()
        with _told(found, "expectations"):
            found["expectations"] = f"{len(self._netfilter.ask(_GET_EXPECTATIONS, bytes(4), netlink.DUMP))}"
        with _told(found, "routing rules"):  # a kernel may have one routing table only
            rules = self._route.ask(_GET_RULE, bytes(12), netlink.DUMP)
            found["routing rules"] = b"".join(rule.payload for rule in rules)
        for family in Family:
            found |= _legacy_tables(family)
        return found


class _Writes:
    """Which settings were written to, whatever the value."""

    def __init__(self) -> None:
        self._fd = linux.inotify()
        self._directories: dict[int, str] = {}
        self.settings: list[str] = []

    def watch(self, top: Path) -> None:
        """Watches the directory and those below it."""
        self._directories[linux.inotify_watch(self._fd, str(top), _IN_MODIFY)] = str(top)
        with os.scandir(top) as entries:
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    self.watch(Path(entry.path))
                # What nobody can change, or read, is not compared.
                elif mode & stat.S_IRUSR and mode & stat.S_IWUSR and not _restless(entry.path):
                    self.settings.append(entry.path)

    def since(self) -> tuple[set[str], bool]:
        """The settings written to since the last call, and whether there were too many to know."""
        paths: set[str] = set()
        missed = False
        while True:
            try:
                data = os.read(self._fd, _MOST_READ)
            except BlockingIOError:
                return paths, missed
            offset = 0
            while offset < len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, offset)
                offset += _EVENT.size + length
                missed |= bool(mask & _IN_Q_OVERFLOW)
                name = data[offset - length : offset].rstrip(b"\0").decode()
                paths.add(f"{self._directories.get(watch, '')}/{name}")


def _restless(path: str) -> bool:
    return path.removeprefix(f"{_SYSCTLS}/") in _RESTLESS


def _name(path: str) -> str:
    """A setting as messages call it."""
    if path.startswith(f"{_SYSCTLS}/"):
        return f"sysctl {path[len(str(_SYSCTLS)) + 1 :]}"
    module, _, parameter = path[len(str(_MODULES)) + 1 :].partition("/parameters/")
    return f"parameter {module}.{parameter}"


@contextmanager
def _told(found: _State, name: str) -> Iterator[None]:
    """Takes the kernel's refusal for how it is."""
    try:
        yield
    except OSError as error:
        found[name] = os.strerror(error.errno or 0)


def _read(path: str) -> str | None:
    """The text of a file of the kernel; None if there is none, or it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return os.read(fd, _MOST_READ).decode(errors="replace").strip()
    except OSError:
        return None
    finally:
        os.close(fd)


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208  this is called often, and Path costs more than the call
    except FileNotFoundError:
        return []


def _inode(path: str) -> str | None:
    try:
        return str(os.stat(path).st_ino)  # noqa: PTH116  as above
    except FileNotFoundError:
        return None


def _modules() -> list[str]:
    """The modules that are loaded; one that needs another is before it."""
    return [line.partition(" ")[0] for line in (_read("/proc/modules") or "").splitlines()]


def _unload(name: str) -> str:
    """Unloads a module; the kernel's refusal if it does not."""
    try:
        linux.delete_module(name)
    except OSError as error:
        return os.strerror(error.errno or 0)
    return ""


def _filled(path: str) -> str | None:
    """How many files and blocks of a file system are in use; None for one that is read-only, which
    may be the host's.
    """
    try:
        used = os.statvfs(path)
    except FileNotFoundError:
        return None
    if used.f_flag & os.ST_RDONLY:
        return None
    return f"{used.f_files - used.f_ffree} files, {used.f_blocks - used.f_bfree} blocks"


def _legacy_tables(family: Family) -> _State:
    """The tables of iptables-legacy and the bytes of their rules, with the counters."""
    v6 = family is Family.IPV6
    names = (_read(f"/proc/net/{'ip6' if v6 else 'ip'}_tables_names") or "").split()
    if not names:
        return {}
    found: _State = {}
    level = socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP
    with socket.socket(family.af, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for name in names:
            info = linux.getsockopt(raw.fileno(), level, _GET_INFO, _INFO.pack(name.encode(), *[0] * 13))
            size = _INFO.unpack(info)[-1]
            asked = _ENTRIES.pack(name.encode(), size) + bytes(size)
            entries = linux.getsockopt(raw.fileno(), level, _GET_ENTRIES, asked)
            found[f"{family.iptables} {name}"] = entries
    return found


def _memory() -> dict[str, int]:
    """Fields of /proc/meminfo, in kB."""
    lines = (line.split() for line in (_read("/proc/meminfo") or "").splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines}


def _processes() -> set[int]:
    return {int(name) for name in _names("/proc") if name.isdecimal()}


def _process(pid: int) -> str:
    """The number and name of a process; empty if it has ended or is a thread of the kernel."""
    text = _read(f"/proc/{pid}/stat") or ""
    found = re.search(r"\((.*)\) \S (?:-?\d+ ){5}(\d+)", text, re.DOTALL)
    # Programs that the kernel starts have the same parent as its threads.
    if found is None or int(found[2]) & _PF_KTHREAD:
        return ""
    return f"{pid} ({found[1]})"


def _difference(name: str, before: str | bytes | None, after: str | bytes | None) -> list[str]:
    """What differs about one thing; of several lines only those that differ."""
    if before == after:
        return []
    if before is None or after is None:
        return [f"{name}: {'new' if before is None else 'gone'}"]
    if isinstance(before, bytes) or isinstance(after, bytes):
        return [f"{name}: changed"]
    old, new = before.splitlines(), after.splitlines()
    if len(old) < 2 and len(new) < 2:
        return [f"{name}: {after}, was {before}"]
    differing = [f"{name}: + {line.strip()}" for line in new if line not in old]
    differing += [f"{name}: - {line.strip()}" for line in old if line not in new]
    return differing or [f"{name}: changed"]
