"""Templates: a guest is booted once, stopped when its agent is ready, and cloned from then on.

The guest's memory is a file. While the template boots, QEMU maps it shared; then the state of CPUs
and devices (0.4 MB) is saved beside it. A clone maps the same file copy-on-write, loads that state
and resumes where the template stopped. Clones share all pages they do not write.

A template's cache key covers everything that could change it. It is published once a clone of it
has answered. Its bytes are verified once per process and again whenever its files were touched; a
damaged template is rebuilt.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import msgspec

from vms.agent import Agent
from vms.boot import Boot
from vms.cache import Cache
from vms.command import Accelerator, Machine, Memory, command_line, words
from vms.deadline import Deadline
from vms.errors import HostError, LostGuest
from vms.files import DISK_FULL
from vms.guest import Guest, running
from vms.hardware import Hardware
from vms.image import Image
from vms.initramfs import Bootable
from vms.interrupt import interrupted
from vms.kernels.burden import burden
from vms.qemu_binary import find_qemu

BOOT_SECONDS = 120.0
CLONE_SECONDS = 30.0
_MAKE_SECONDS = 2 * BOOT_SECONDS + CLONE_SECONDS  # another process may be making it, and fail
_KIND = "templates"
_FORM = 4  # increased when the content of an entry changes its meaning
# A clone does not boot its kernel, but only with `-kernel` has QEMU the same devices. It reads the
# whole file into memory that clones do not share: 12 MB, 10 ms. The beginning of a bzImage,
# its header and setup code (Documentation/arch/x86/boot.rst), is enough.
_KERNEL_BEGINNING = 1 << 16
# Seconds of a boot under TCG on a machine of 2020. A machine or kernel that takes longer gets more
# seconds for all that a guest does, by the same factor.
_USUAL_BOOT = 20.0
_SLOWEST = 30.0
_MIB = 1 << 20
_ZEROS = bytes(_MIB)
_NEARLY_FULL = 16 * _MIB
# Without KVM a boot begins with a burst (kernel and initramfs are read and unpacked, all code is
# translated for the first time). Staggered boots do not all peak at once.
_BOOTS_APART = 0.3


@dataclass(frozen=True)
class _Saved:
    """A verified template: its directory, the signature of its files when they were verified, its
    state, how many times as long as usual its boot took, and what the kernel reported meanwhile.
    """

    path: Path
    signature: tuple[tuple[int, ...], ...]
    state: bytes
    slowness: float = 1.0
    boot: Boot = field(default_factory=Boot)


class Turns:
    """Spaces callers out: each waits until `seconds` after the previous one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Sleeps until it is the caller's turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._seconds
        time.sleep(turn - now)


boot_turns = Turns(_BOOTS_APART)


class _CannotClone(Exception):
    """The guest booted, but it could not be saved or cloned. The message says why."""


class Template:
    """A kernel whose guests all start in the same state.

    `slowness` is how many times the usual seconds its boot is given. `cold` is empty, or says why
    cloning does not work here, so that every guest is booted. `path` is its directory in the cache.
    """

    def __init__(
        self, name: str, machine: Machine, agent: Agent, cache: Cache, key: str, slowness: float = 1.0
    ) -> None:
        self.name = name
        self.machine = machine
        self.cold = ""
        self.path = cache.path(_KIND, key)
        self._agent = agent
        self._cache = cache
        self._key = key
        self._slowness = slowness
        self._lock = Lock()
        self._verified: _Saved | None = None

    @contextmanager
    def start(self, *, debugged: bool = False) -> Iterator[Guest]:
        """Starts a guest, waits until its agent is ready, and ends it with the context. The guest
        is a clone, or booted now if cloning does not work. `debugged`: a debugger can connect.

        Raises LostGuest, and HostError if a damaged template cannot be rebuilt.
        """
        saved = None if self.cold else self._saved()
        machine = replace(self.machine, debugged=debugged)
        if saved is None:
            with _booted(machine, self._agent, self.name, self._slowness) as guest:
                yield guest
        else:
            with _cloned(machine, saved, self.name) as guest:
                yield guest

    @property
    def boot(self) -> Boot:
        """What the kernel reported while the template booted. Nothing if it cannot be cloned: then
        it is in the log of each cell, since each boots.
        """
        return self._verified.boot if self._verified else Boot()

    def make(self) -> None:
        """Makes the template unless the cache has it, and finds out whether cloning works."""
        try:
            if not self.cold:
                self._saved()
        except _CannotClone as error:
            self.cold = str(error)

    def _saved(self) -> _Saved:
        with self._lock:
            deadline = Deadline(_MAKE_SECONDS * self._slowness, f"the template of {self.name}")
            if self._verified and _signature(self.path) == self._verified.signature:
                return self._verified
            self._cache.ensure(_KIND, self._key, self._build, deadline, self._verify)
            assert self._verified
            return self._verified

    def _verify(self, path: Path) -> bool:
        self._verified = _verify(path)
        return self._verified is not None

    def _build(self, staging: Path) -> None:
        try:
            self._boot_and_save(staging)
        except (LostGuest, _CannotClone) as error:
            # On a full disk a write to the memory file ends QEMU with SIGBUS.
            free = os.statvfs(staging)
            if "SIGBUS" in str(error) or free.f_bavail * free.f_frsize < _NEARLY_FULL:
                raise HostError(
                    f"making the template of {self.name} (in the cache {self._cache.root}): {DISK_FULL}"
                ) from error
            raise

    def _boot_and_save(self, staging: Path) -> None:
        memory = staging / "memory"
        with self.machine.vmlinuz.open("rb") as kernel:
            (staging / "kernel").write_bytes(kernel.read(_KERNEL_BEGINNING))
        with memory.open("wb") as file:
            file.truncate(self.machine.hardware.memory * _MIB)
        with _booted(
            replace(self.machine, memory_file=Memory(memory, shared=True)),
            self._agent,
            self.name,
            self._slowness,
        ) as guest:
            slowness = min(_SLOWEST, max(1.0, guest.qemu.age / _USUAL_BOOT))
            waits = Deadline(CLONE_SECONDS, f"the state of {self.name} to be saved")
            try:
                state = guest.qemu.save(waits.on(guest.qemu.clock, slowness))
            except HostError as error:
                raise _CannotClone(str(error)) from error
        (staging / "state").write_bytes(state)
        (staging / "template.json").write_text(
            json.dumps(
                {
                    "kernel": self.name,
                    "slowness": slowness,
                    "boot": msgspec.to_builtins(guest.boot),
                    "sha256": _digests(staging, state),
                },
                indent=1,
            )
        )
        saved = _Saved(staging, _signature(staging), state, slowness, guest.boot)
        try:
            with _cloned(self.machine, saved, self.name) as clone:
                clone.ping(Deadline(CLONE_SECONDS, f"the first clone of {self.name} to answer"))
        except HostError as error:
            if interrupted():
                raise
            raise _CannotClone(str(error)) from error


def make_template(
    bootable: Bootable, image: Image, accelerator: Accelerator, agent: Agent, cache: Cache, hardware: Hardware
) -> Template:
    """The template of a kernel with this hardware, from the cache or made now.

    Raises LostGuest if the kernel does not boot, HostError if the agent does not start or there is
    no room.
    """
    files = bootable.files
    machine = Machine(
        accelerator, hardware, files.vmlinuz, bootable.initramfs, image.squashfs, bootable.modules
    )
    key = _key(machine, bootable.key, agent)
    template = Template(files.kernel.name, machine, agent, cache, key, burden(files).slowness)
    template.make()
    return template


def _key(machine: Machine, bootable: str, agent: Agent) -> str:
    anywhere = replace(
        machine,
        vmlinuz=Path("vmlinuz"),
        initramfs=Path("initramfs"),
        image=Path("image"),
        modules=Path("modules"),
    )
    # The command line holds machine, CPU, accelerator and memory.
    parts = [
        _FORM,
        bootable,
        agent.digest,
        find_qemu().identity,
        words(command_line(replace(find_qemu(), path="qemu"), anywhere, Path("directory"))),
    ]
    if machine.accelerator.name != "tcg":
        # With KVM the guest's CPU features are the host's, and part of its state.
        parts.append([Path("/etc/machine-id").read_text(), platform.release(), _host_cpu()])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _host_cpu() -> list[str]:
    wanted = ("model name", "stepping", "microcode", "flags")
    return sorted(
        {line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(wanted)}
    )


@contextmanager
def _booted(machine: Machine, agent: Agent, name: str, slowness: float) -> Iterator[Guest]:
    if machine.accelerator.name == "tcg":
        boot_turns.wait()
    with running(machine, name) as guest:
        guest.start_agent(agent, Deadline(BOOT_SECONDS * slowness, f"{name} to boot"))
        yield guest


@contextmanager
def _cloned(machine: Machine, saved: _Saved, name: str) -> Iterator[Guest]:
    def intact() -> bool:
        return _signature(saved.path) == saved.signature

    with running(clone_of(machine, saved.path), name, intact) as guest:
        guest.slowness, guest.had_agent = saved.slowness, True
        deadline = guest.by_own_clock(Deadline(CLONE_SECONDS, f"a clone of {name} to start"))
        # Connected before it runs: the clone finds the host connected, as the template did, and the
        # first byte wakes it.
        guest.attach(deadline)
        # raises HostError if the QEMU just started may not be the one that saved the state
        find_qemu()
        guest.qemu.load(saved.state, deadline)
        yield guest


def clone_of(machine: Machine, path: Path) -> Machine:
    """The machine that resumes from the template at `path`."""
    return replace(machine, vmlinuz=path / "kernel", memory_file=Memory(path / "memory", shared=False))


def _verify(path: Path) -> _Saved | None:
    """The template in this directory if each of its bytes is what was saved, else None."""
    signature = _signature(path)
    try:
        about = json.loads((path / "template.json").read_bytes())
        state = (path / "state").read_bytes()
        whole = about["sha256"] == _digests(path, state)
        slowness = min(_SLOWEST, max(1.0, float(about["slowness"])))
        boot = msgspec.convert(about["boot"], Boot)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # A change while the files were read has changed the signature.
    return _Saved(path, signature, state, slowness, boot) if whole and _signature(path) == signature else None


def _signature(path: Path) -> tuple[tuple[int, ...], ...]:
    """A value that changes whenever the template's files are written to or replaced; empty if one
    is missing.
    """
    try:
        found = [(path / name).stat() for name in ("memory", "state", "kernel")]
    except FileNotFoundError:
        return ()
    return tuple((status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns) for status in found)


def _digests(path: Path, state: bytes) -> dict[str, str]:
    return {
        "memory": memory_digest(path / "memory"),
        "state": hashlib.sha256(state).hexdigest(),
        "kernel": hashlib.sha256((path / "kernel").read_bytes()).hexdigest(),
    }


def memory_digest(path: Path) -> str:
    """The sha256 of the size and of each MiB that is not empty, with its number.

    Most of a guest's memory was never written.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(str(size).encode())
        position = 0
        while position < size:
            try:
                position = os.lseek(file.fileno(), position, os.SEEK_DATA) // _MIB * _MIB
            except OSError:  # ENXIO: nothing but holes from here on
                break
            os.lseek(file.fileno(), position, os.SEEK_SET)
            data = file.read(_MIB)
            if data != _ZEROS[: len(data)]:
                digest.update(f" {position // _MIB} ".encode())
                digest.update(data)
            position += _MIB
    return digest.hexdigest()
