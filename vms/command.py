"""The command line of QEMU, in groups, each with its reason: qemu(1)."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from vms.qemu import Binary

# One line per reason; Documentation/admin-guide/kernel-parameters.txt in the kernel's source.
KERNEL_PARAMETERS = (
    "console=ttyS0",
    # with -no-reboot below, a kernel that crashes ends QEMU at once instead of being waited for
    "oops=panic panic=-1",
    "mitigations=off",  # nobody attacks a guest from inside, and under TCG a retpoline costs like ten jumps
    # on a busy host the few milliseconds 5.10 waits for timer interrupts pass without one, and it
    # panics
    "no_timer_check",
    "tsc=reliable",  # on a busy host the clock's watchdog would blame the guest's clock for the host's pauses
    # on a busy host a kernel reckons the TSC's rate wrong, up to nine times: this clock's rate is
    # fixed
    "clocksource=acpi_pm",
)


@dataclass(frozen=True)
class Hardware:
    """What a guest has: memory in MiB, virtual CPUs.

    One CPU unless the experiment is about races: under TCG 5.11-5.13 hang while calibrating further
    ones.
    """

    memory: int = 512
    cpus: int = 1


@dataclass(frozen=True)
class Accelerator:
    """What executes the guest's instructions (`tcg` or `kvm`), the CPU model that goes with it, and
    why it was chosen.
    """

    name: str
    cpu: str
    why: str


@dataclass(frozen=True)
class Memory:
    """The file that is the guest's memory.

    A template is made in it (`shared`); its clones see it and keep their writes to themselves.
    """

    path: Path
    shared: bool


@dataclass(frozen=True)
class Machine:
    """All that determines a guest before it runs.

    `memory_file` is None for a guest that is neither a template nor a clone.
    """

    accelerator: Accelerator
    hardware: Hardware
    vmlinuz: Path
    initramfs: Path
    image: Path
    modules: Path
    memory_file: Memory | None = None

    @property
    def clone(self) -> bool:
        """Whether it goes on from a template's memory instead of booting."""
        return self.memory_file is not None and not self.memory_file.shared


@dataclass(frozen=True)
class Group:
    """Words of a command line that belong together, and why they are there."""

    reason: str
    words: tuple[str, ...]


def command_line(qemu: Binary, machine: Machine, directory: Path) -> tuple[Group, ...]:
    """The whole command line.

    `directory` is the guest's own, private one, which will hold its sockets and console log.
    """
    accelerator, hardware = machine.accelerator, machine.hardware
    return (
        Group(
            "nothing that this list does not name: no network card, no display,"
            " no configuration of the host's",
            (qemu.path, "-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"),
        ),
        Group(
            f"the least machine, without devices that nobody uses; accelerator: {accelerator.why}",
            (
                "-machine",
                ",".join(("q35,memory-backend=memory,hpet=off", *qemu.left_out)),
                "-accel",
                # what a hostile guest may have translated is bounded, else it is 1 GiB
                "tcg,tb-size=128" if accelerator.name == "tcg" else accelerator.name,
                "-cpu",
                accelerator.cpu,
            ),
        ),
        Group(
            "CPUs and memory",
            ("-smp", str(hardware.cpus), "-m", f"{hardware.memory}M", "-object", _memory(machine)),
        ),
        Group(
            "the kernel; a crash ends QEMU at once",
            (
                "-kernel",
                str(machine.vmlinuz),
                "-initrd",
                str(machine.initramfs),
                "-append",
                " ".join(KERNEL_PARAMETERS),
                "-no-reboot",
            ),
        ),
        Group(
            "vda, the image, and vdb, this kernel's modules",
            (*_disk("image", machine.image), *_disk("modules", machine.modules)),
        ),
        Group("entropy before the first key is drawn", ("-device", "virtio-rng-pci")),
        Group(
            "two ports to the host: SSH and the agent; only who may enter the directory can reach them",
            ("-device", "virtio-serial-pci", *_port("ssh", directory), *_port("agent", directory)),
        ),
        Group(
            "the console, logged to a file",
            (
                "-chardev",
                f"file,id=console,path={_escaped(directory / 'console')}",
                "-serial",
                "chardev:console",
            ),
        ),
        Group(
            "our control of QEMU",
            (
                "-chardev",
                f"socket,id=qmp,path={_escaped(directory / 'qmp')},server=on,wait=off",
                "-mon",
                "chardev=qmp,mode=control",
            ),
        ),
        Group(
            "a guest that breaks out of QEMU can start nothing",
            ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        ),
        *(
            [Group("a clone: waits for the template's state", ("-incoming", "defer"))]
            if machine.clone
            else []
        ),
    )


def words(groups: tuple[Group, ...]) -> list[str]:
    """The command line as a list to execute."""
    return [word for group in groups for word in group.words]


def render(groups: tuple[Group, ...]) -> str:
    """The command line as text that bash runs: one group a line, its reason as a comment above it.

    An array, since no comment can stand between lines that backslashes join.
    """
    lines = [f"  # {group.reason}\n  {shlex.join(group.words)}\n" for group in groups]
    return f'qemu=(\n{"".join(lines)})\n"${{qemu[@]}}"'


def _memory(machine: Machine) -> str:
    size = f"id=memory,size={machine.hardware.memory}M"
    if machine.memory_file is None:
        return f"memory-backend-ram,{size}"
    path, share = _escaped(machine.memory_file.path), "on" if machine.memory_file.shared else "off"
    return f"memory-backend-file,{size},mem-path={path},share={share}"


def _disk(name: str, path: Path) -> tuple[str, ...]:
    # No locks: every guest reads the same file, and nobody writes it.
    return (
        "-blockdev",
        f"driver=raw,node-name={name},read-only=on,file.driver=file,file.locking=off,file.filename={_escaped(path)}",
        "-device",
        f"virtio-blk-pci,drive={name}",
    )


def _port(name: str, directory: Path) -> tuple[str, ...]:
    return (
        "-chardev",
        f"socket,id={name},path={_escaped(directory / name)},server=on,wait=off",
        "-device",
        f"virtserialport,chardev={name},name={name}",
    )


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
