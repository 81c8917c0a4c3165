"""Templates: a guest is booted once, stopped when its agent is ready, and cloned from then on.

The guest's memory is a file. While the template boots, QEMU maps it shared; then the state of CPUs and devices (0.4 MB) is saved beside
it. A clone maps the same file copy-on-write, loads that state and goes on where the template stopped. Clones share all pages they do not write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vms.cache import Cache
from vms.command import Accelerator, Hardware, Machine, Memory, command_line, words
from vms.deadline import Deadline
from vms.guest import Agent, Guest, running
from vms.image import Image
from vms.initramfs import Bootable
from vms.qemu import find_qemu

BOOT_SECONDS = 120.0
CLONE_SECONDS = 30.0
_KIND = "templates"
_FORM = 1  # raised when what lies in an entry changes its meaning
_CHUNK = 1 << 20
_MIB = 1 << 20


@dataclass(frozen=True)
class Template:
    """A kernel of which guests can be started. `path` is its cache entry; None where cloning does not work, then `cold` says why."""

    name: str
    machine: Machine
    agent: Agent
    path: Path | None
    state: bytes
    cold: str = ""

    @contextmanager
    def start(self) -> Iterator[Guest]:
        """A guest whose agent is ready: a clone, or booted now where cloning does not work. Raises LostGuest."""
        if self.path is None:
            with _booted(self.machine, self.agent, self.name) as guest:
                yield guest
        else:
            with _cloned(self.machine, self.path / "memory", self.state, self.name) as guest:
                yield guest


@contextmanager
def _booted(machine: Machine, agent: Agent, name: str) -> Iterator[Guest]:
    with running(machine, name) as guest:
        guest.start_agent(agent, Deadline(BOOT_SECONDS, f"{name} to boot"))
        yield guest


@contextmanager
def _cloned(machine: Machine, memory: Path, state: bytes, name: str) -> Iterator[Guest]:
    with running(replace(machine, memory_file=Memory(memory, shared=False)), name) as guest:
        deadline = Deadline(CLONE_SECONDS, f"a clone of {name} to start")
        # Connected before it runs, the clone sees the host where the template saw it, and is woken by the first byte.
        guest.attach(deadline)
        guest.qemu.load(state, deadline)
        yield guest


def make_template(bootable: Bootable, image: Image, accelerator: Accelerator, agent: Agent, cache: Cache, hardware: Hardware) -> Template:
    """The template of a kernel, from the cache or made now."""
    name = bootable.files.kernel.name
    machine = Machine(accelerator, hardware, bootable.files.vmlinuz, bootable.initramfs, image.squashfs, bootable.modules)
    key = _key(bootable, machine, agent)
    path = cache.ensure(_KIND, key, lambda staging: _build(staging, machine, agent, name), Deadline(300, f"the template of {name}"))
    return Template(name, machine, agent, path, (path / "state").read_bytes())


def _key(bootable: Bootable, machine: Machine, agent: Agent) -> str:
    anywhere = replace(machine, vmlinuz=Path("vmlinuz"), initramfs=Path("initramfs"), image=Path("image"), modules=Path("modules"))
    parts = [_FORM, bootable.key, agent.digest, find_qemu().identity, words(command_line("qemu", anywhere, Path("directory")))]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _build(staging: Path, machine: Machine, agent: Agent, name: str) -> None:
    memory = staging / "memory"
    with memory.open("wb") as file:
        file.truncate(machine.hardware.memory * _MIB)
    with _booted(replace(machine, memory_file=Memory(memory, shared=True)), agent, name) as guest:
        state = guest.qemu.save(Deadline(CLONE_SECONDS, f"the state of {name} to be saved"))
    (staging / "state").write_bytes(state)
