"""The command line of QEMU (qemu(1)), in groups, each with its reason."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from vms.hardware import Hardware
from vms.qemu_binary import Binary, find_qemu

# One line per reason; Documentation/admin-guide/kernel-parameters.txt in the kernel's source.
KERNEL_PARAMETERS = (
    "console=ttyS0",
    # with -no-reboot below, a kernel that crashes ends QEMU at once, long before the deadline
    "oops=panic panic=-1",
    "mitigations=off",  # guests run no hostile code, and under TCG a retpoline costs as much as ten jumps
    # 5.10 panics if no timer interrupt comes within a few milliseconds, as on a busy host
    "no_timer_check",
    "tsc=reliable",  # on a busy host the watchdog of clocks would mark the guest's clock as unstable
    # this clock has a fixed rate; on a busy host kernels mismeasured that of the TSC up to ninefold
    "clocksource=acpi_pm",
    # a guest that waits for a processor would report lockups that are none of its kernel's
    "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120",
)

DEBUGGER = "gdb"
"""The socket for a debugger, in a guest's private directory."""


@dataclass(frozen=True)
class Accelerator:
    """What executes the guest's instructions (`tcg` or `kvm`), its CPU model, and why it was
    chosen.
    """

    name: str
    cpu: str
    why: str


@dataclass(frozen=True)
class Memory:
    """The file that is the guest's memory.

    A template writes to it (`shared`); clones map it copy-on-write.
    """

    path: Path
    shared: bool


@dataclass(frozen=True)
class Machine:
    """Everything that determines a guest before it runs.

    `memory_file` is None for a guest that is neither a template nor a clone. `debugged`: a debugger
    can connect to it.
    """

    accelerator: Accelerator
    hardware: Hardware
    vmlinuz: Path
    initramfs: Path
    image: Path
    modules: Path
    memory_file: Memory | None = None
    debugged: bool = False

    @property
    def clone(self) -> bool:
        """Whether the guest resumes from a template's memory instead of booting."""
        return self.memory_file is not None and not self.memory_file.shared

    def words(self, directory: Path) -> list[str]:
        """The command line that runs it; `directory` is the guest's private directory."""
        return words(command_line(find_qemu(), self, directory))


@dataclass(frozen=True)
class Group:
    """Words of a command line that belong together, and the reason for them."""

    reason: str
    words: tuple[str, ...]


SANDBOX = Group(
    "a guest that breaks out of QEMU can start no program",
    ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
)


def command_line(qemu: Binary, machine: Machine, directory: Path) -> tuple[Group, ...]:
    """The complete command line.

    `directory` is the private directory for the guest's sockets and console log.
    """
    debugger = (_debugger(directory),) if machine.debugged else ()
    return (*_computer(qemu, machine), *_ways_in(directory), *debugger, *_confinement(machine))


def _computer(qemu: Binary, machine: Machine) -> tuple[Group, ...]:
    """What the guest is made of."""
    accelerator, hardware = machine.accelerator, machine.hardware
    return (
        Group(
            "no devices but the ones below: no network card, no display,"
            " and no QEMU configuration of the host",
            (qemu.path, "-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"),
        ),
        Group(
            f"a machine without unused devices; accelerator: {accelerator.why}",
            (
                "-machine",
                ",".join(("q35,memory-backend=memory,hpet=off", *qemu.left_out)),
                *executed_by(accelerator, hardware),
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
    )


def executed_by(accelerator: Accelerator, hardware: Hardware) -> tuple[str, ...]:
    """The words for what executes the guest's instructions."""
    # bounds the code that a hostile guest can have translated; the default is 1 GiB
    name = "tcg,tb-size=128" if accelerator.name == "tcg" else accelerator.name
    return "-accel", name, "-cpu", _cpu(accelerator, hardware)


def _cpu(accelerator: Accelerator, hardware: Hardware) -> str:
    """The CPU model with or without AVX2. The usual one has none under TCG, and kernels hang in it
    when it is added; under KVM it has what the host has.
    """
    if accelerator.name == "tcg":
        return "max,-cx16" if hardware.avx2 == "on" else accelerator.cpu
    return f"{accelerator.cpu},-avx2" if hardware.avx2 == "off" else accelerator.cpu


def _ways_in(directory: Path) -> tuple[Group, ...]:
    """What connects the guest and QEMU with the host."""
    return (
        Group(
            "two ports to the host, SSH and agent, whose sockets are in a private directory",
            ("-device", "virtio-serial-pci", *port("ssh", directory), *port("agent", directory)),
        ),
        Group(
            "the console, logged to a file",
            ("-chardev", logged_console(directory), "-serial", "chardev:console"),
        ),
        control(directory),
    )


def control(directory: Path) -> Group:
    """How the host controls QEMU: QMP over a socket in the guest's private directory."""
    return Group(
        "how the host controls QEMU",
        (
            "-chardev",
            f"socket,id=qmp,path={_escaped(directory / 'qmp')},server=on,wait=off",
            "-mon",
            "chardev=qmp,mode=control",
        ),
    )


def _debugger(directory: Path) -> Group:
    return Group(
        "how a debugger controls the guest",
        (
            "-chardev",
            f"socket,id=gdb,path={_escaped(directory / DEBUGGER)},server=on,wait=off",
            "-gdb",
            "chardev:gdb",
        ),
    )


def _confinement(machine: Machine) -> tuple[Group, ...]:
    """What QEMU must not do, and how a clone starts."""
    return (
        SANDBOX,
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
    # No locks: all guests read the same file and none writes it.
    return (
        "-blockdev",
        f"driver=raw,node-name={name},read-only=on,file.driver=file,file.locking=off,file.filename={_escaped(path)}",
        "-device",
        f"virtio-blk-pci,drive={name}",
    )


def logged_console(directory: Path) -> str:
    """The character device of a console whose output goes to the file `console`."""
    return f"file,id=console,path={_escaped(directory / 'console')}"


def port(name: str, directory: Path) -> tuple[str, ...]:
    """The words for a port of the guest that the host reaches over a socket with its name."""
    return (
        "-chardev",
        f"socket,id={name},path={_escaped(directory / name)},server=on,wait=off",
        "-device",
        f"virtserialport,chardev={name},name={name}",
    )


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
