"""Guests through virtme-ng: the kernel boots with this host's own files, read-only over 9p, as its
userland, and no image is needed.

virtme-ng packs the initramfs and tells the command line of QEMU, which is then run as for any other
guest. There are no templates: a guest is booted, and answers as long as nothing is left in it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vms import tool
from vms.agent import Agent
from vms.boot import Boot
from vms.command import (
    KERNEL_PARAMETERS,
    SANDBOX,
    Accelerator,
    control,
    executed_by,
    logged_console,
    port,
)
from vms.deadline import Deadline
from vms.errors import HostError, LostGuest
from vms.guest import Guest, running
from vms.hardware import Hardware
from vms.image import Image
from vms.packages import install_line
from vms.qemu_binary import find_qemu
from vms.template import BOOT_SECONDS

_PROGRAM = "virtme-run"
# What virtme-ng and the cells run, the package that has it, and how it tells its version.
_PROGRAMS = (
    ("iptables-legacy", "iptables", "--version"),
    ("nft", "nftables", "--version"),
    ("conntrack", "conntrack", "--version"),
    ("ip", "iproute2", "-Version"),
    ("modprobe", "kmod", "--version"),
    ("busybox", "busybox-static", "--help"),
    ("file", "file", "--version"),
    ("vng", "", "--version"),
    (_PROGRAM, "", ""),
)
_SECONDS = 60
_BOOTS = 2
_MODULES = Path("/lib/modules")  # where virtme-ng puts those of the kernel
_CONSOLE = "file,id=console,path=/dev/null"
_SCRIPT = Path(__file__).with_suffix(".sh")
_TEMPORARY = Path("/tmp")
# What a guest does not share with the host: virtme-ng mounts a tmpfs there before our script runs.
_OWN = ("/dev", "/run", "/var/cache", "/var/lib/apt", "/var/lib/private", "/var/log", "/var/tmp")


def lacking() -> str:
    """What this host lacks for such guests, and how to install it; empty if it has all."""
    absent = [(program, package) for program, package, _ in _PROGRAMS if not _found(program)]
    packages = sorted({package for _, package in absent if package})
    said = [", ".join(program for program, _ in absent)]
    if packages:
        said.append(f"as root, run: {install_line(packages)}")
    if any(not package for _, package in absent):
        said.append(f"for virtme-ng, run: {sys.executable} -m pip install virtme-ng")
    return "; ".join(said)


def host_userland() -> Image:
    """This host's files as the userland of guests: a digest of the versions of the programs that
    matter, and these.

    Raises HostError that names each program that is missing.
    """
    if lacks := lacking():
        raise HostError(f"for `--backend virtme` this host lacks {lacks}")
    versions = {"python": platform.python_version(), "scapy": importlib.metadata.version("scapy")}
    for program, _, flag in _PROGRAMS:
        if flag:
            said = tool.run([_path(program), flag], Deadline(_SECONDS, f"asking {program} for its version"))
            versions[program] = said.partition("\n")[0].strip()
    digest = hashlib.sha256(json.dumps(versions, sort_keys=True).encode()).hexdigest()
    return Image(Path(), Path(), digest, versions)


def check_seen(*paths: Path) -> None:
    """Raises HostError if a guest would not see one of these paths of the host."""
    for name in _names(paths):
        for own in _OWN:
            if name.is_relative_to(own):
                raise HostError(
                    f"guests of `--backend virtme` have a {own} of their own, and do not see {name}; move it"
                )


def _found(program: str) -> str | None:
    return shutil.which(program, path=f"{Path(sys.executable).parent}:{tool.SEARCH_PATH}")


def _path(program: str) -> str:
    path = _found(program)
    if path is None:
        raise HostError(f"{program} is missing on this host")
    return path


@dataclass(frozen=True)
class VirtmeMachine:
    """What determines a guest before it runs. `agent` starts by itself when it has booted.

    A guest has a /tmp of its own; of what the host has there it sees the directories in `seen`.
    """

    accelerator: Accelerator
    hardware: Hardware
    vmlinuz: Path
    agent: Agent
    seen: tuple[Path, ...] = ()

    def words(self, directory: Path) -> list[str]:
        """QEMU's command line, for a guest with this private directory.

        Raises HostError if virtme-ng cannot tell it.
        """
        qemu = find_qemu().path
        command = [
            *(_path(_PROGRAM), "--dry-run", "--show-command"),
            *("--qemu-bin", qemu, "--disable-kvm", "--force-9p"),
            *("--kimg", str(self.vmlinuz), "--mods", "auto"),
            # else a kernel that has all built in has none, and mounts 9p by itself
            *("--force-initramfs", "--save-initramfs", str(directory / "initramfs")),
            *("--cpus", str(self.hardware.cpus), "--memory", f"{self.hardware.memory}M"),
            *(f"--kopt={word}" for text in (*KERNEL_PARAMETERS, "loglevel=7") for word in text.split()),
            *(() if _MODULES.is_dir() else (f"--overlay-rwdir={_MODULES.parent.resolve()}",)),
            *("--script-sh", shlex.join(self._script())),
        ]
        said = tool.run(
            command,
            Deadline(_SECONDS, "asking virtme-ng for its command line"),
            environment={"TMPDIR": str(directory)},
        )
        told = next((line for line in said.splitlines() if line.startswith(shlex.quote(qemu))), None)
        if told is None or _CONSOLE not in shlex.split(told):
            raise HostError(f"virtme-ng told no command line of QEMU that logs its console: {said[-500:]}")
        console = logged_console(directory)
        return [
            *(console if word == _CONSOLE else word for word in shlex.split(told)),
            *executed_by(self.accelerator, self.hardware),
            *("-device", "virtio-serial-pci", *port("agent", directory)),
            *control(directory).words,
            *SANDBOX.words,
        ]

    def _script(self) -> list[str]:
        # The directory's real name: what leads to it may be a link in the host's /tmp.
        python = Path(sys.executable)
        copied = [f"{name}={path}" for name, path in self.agent.parts.items()]
        kept = [str(name) for name in _names(self.seen) if name.is_relative_to(_TEMPORARY)]
        return [
            *("sh", str(_SCRIPT), str(python.parent.resolve() / python.name), self.agent.module),
            *(*copied, "--", *kept),
        ]


def _names(paths: Iterable[Path]) -> list[Path]:
    """The paths and what they lead to, each once; an outer one comes before those in it."""
    return sorted({name for path in paths for name in (path.absolute(), path.resolve())})


class VirtmeTemplate:
    """A kernel whose guests are booted through virtme-ng."""

    def __init__(self, name: str, machine: VirtmeMachine, slowness: float) -> None:
        self.name = name
        self.boot = Boot()
        self._machine = machine
        self._slowness = slowness
        self._booted = False
        self._failures: list[LostGuest] = []

    def make(self) -> None:
        """Does nothing: there is no template."""

    @contextmanager
    def start(self) -> Iterator[Guest]:
        """Boots a guest, waits until its agent is ready, and ends it with the context.

        Raises LostGuest; at once if the kernel has failed to boot several times, and never did.
        """
        if not self._booted and len(self._failures) >= _BOOTS:
            raise self._failures[-1]
        with running(self._machine, self.name) as guest:
            try:
                guest.ping(Deadline(BOOT_SECONDS * self._slowness, f"{self.name} to boot"))
            except LostGuest as error:
                self._failures.append(error)
                raise
            self._booted, self.boot = True, guest.boot
            yield guest
