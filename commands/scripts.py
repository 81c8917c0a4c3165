"""Tasks that give a kernel to the user: for a program, and for a shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from commands import shell as output
from commands.shell import (
    JOBS,
    ROOT,
    complain,
    count,
    keep,
    least_memory,
    one_kernel,
    print_json,
    reported,
    run_programs,
    selected,
    soon_told,
    tidy,
)

if TYPE_CHECKING:
    from matrix.invocation import Result
    from matrix.run.machines import Machines
    from matrix.script.script import Script
    from vms.hardware import Hardware
    from vms.kernels.kernel import Kernel

# Each task imports what it needs, so that listing the tasks does not load every library.
_MOST_STDIN = 16 << 20
_SECONDS = 60


@task(
    positional=["file"],
    iterable=["kernel", "push", "sysctl", "ignore"],
    help={
        "file": "the program: an executable, a script, or a directory with a file `run`",
        "kernel": "a kernel, for example 6.12 (repeatable; default: those of matrix.toml)",
        "user": "run it as root of an unprivileged user's namespace (unshare -Urn), not of the guest",
        "push": "a file or directory to put beside the program (repeatable)",
        "capture": "capture the packets of all interfaces while it runs",
        "sysctl": "NAME=VALUE, set before the program starts (repeatable)",
        "stdin": "a file for its standard input, - for that of this command",
        "cpus": "virtual CPUs of a guest (default: 1)",
        "memory": "memory of a guest in MiB (default: 512)",
        "timeout": "seconds that the program may take (default: 60)",
        "ignore": "a regular expression for parts of its output that are not compared (repeatable)",
        "jobs": f"{JOBS} (default: one per processor; fewer while memory is short)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what is in the cache",
        "json": "print every record as JSON instead of the table",
    },
)
@reported
def script(
    _context: Context,
    file: str,
    kernel: list[str],
    push: list[str],
    sysctl: list[str],
    ignore: list[str],
    user: bool = False,
    capture: bool = False,
    stdin: str = "",
    cpus: str | None = None,
    memory: str | None = None,
    timeout: str | None = None,
    jobs: str | None = None,
    accel: str = "auto",
    offline: bool = False,
    json: bool = False,
) -> int:
    """Run your own program on kernels and show where they differ; its arguments follow `--`."""
    from matrix.plan.plan import Choice, plan_choices
    from matrix.plan.project import Project
    from matrix.report.text.progress import display
    from matrix.run.machines import Machines
    from matrix.script.guests import ScriptGuests, experiment_of, read_script
    from vms.accel import check_request
    from vms.capacity import processors

    check_request(accel)
    given = _script(
        file,
        push,
        sysctl,
        ignore,
        stdin,
        user=user,
        capture=capture,
        cpus=cpus,
        memory=memory,
        timeout=timeout,
    )
    experiment, variant = experiment_of(given)
    at_a_time = count("--jobs", jobs, JOBS) or processors()
    project = Project.open(ROOT, offline=offline)
    selection = selected(project, project.specs(kernel))
    plan = plan_choices(selection.kernels, [Choice(experiment, (variant,))])
    machines = Machines(project, accel, selection.catalogue, memory=given.memory)
    with display(output.console(errors=True)) as shown:
        guests = ScriptGuests(machines, {experiment.name: given}, read_script)
        result = run_programs(plan, selection, guests, at_a_time, shown)
    keep(project.config.history, result.run)
    tidy(project.config.cache.size)
    return _print(result, given, json=json)


@task(
    positional=["kernel"],
    iterable=["push", "pull"],
    help={
        "kernel": "a kernel, for example 6.12",
        "user": "a shell as root of an unprivileged user's namespace (unshare -Urn), not of the guest",
        "lab": "host or router: in network namespaces like those of experiments",
        "command": "one command instead of a shell",
        "push": "a file or directory to put where the shell begins (repeatable)",
        "pull": "FILE or FILE=COPY, a file of the guest to copy here afterwards (repeatable)",
        "gdb": "let a debugger connect, and print the line that does",
        "cpus": "virtual CPUs of the guest (default: 1)",
        "memory": "memory of the guest in MiB (default: 512)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what is in the cache",
    },
)
@reported
def shell(
    _context: Context,
    kernel: str,
    push: list[str],
    pull: list[str],
    user: bool = False,
    gdb: bool = False,
    lab: str | None = None,
    command: str = "",
    cpus: str | None = None,
    memory: str | None = None,
    accel: str = "auto",
    offline: bool = False,
) -> int:
    """Open a root shell in a fresh guest; the exit code is the shell's."""
    from matrix.script.script import Script, parse_pulled, with_pushed
    from matrix.script.shell import run_shell, shell_words
    from matrix.script.topology import find_topology
    from vms.errors import UsageError

    topology = None if lab is None else find_topology(lab)
    if topology and user:
        raise UsageError(
            "--lab with --user: only the guest's root can make namespaces with names; leave out one"
        )
    pulled = parse_pulled(pull)
    files = with_pushed({}, push)
    named, machines, hardware = _one_guest(kernel, cpus, memory, accel, offline=offline)
    with soon_told(f"preparing {kernel}: its first boot takes a while"):
        booted = machines.fetch(named)
        template = machines.template(booted, hardware)
    terminal = not command and sys.stdin.isatty() and sys.stdout.isatty()
    words = shell_words(command, booted.version, terminal=terminal)
    given = Script("shell", words, files, user, keep=False)
    debugged = booted if gdb else None
    return run_shell(template, given, pulled, terminal=terminal, debugged=debugged, topology=topology)


@task(
    positional=["kernel"],
    help={
        "kernel": "a kernel, for example 6.12",
        "cpus": "virtual CPUs of the guest (default: 1)",
        "memory": "memory of the guest in MiB (default: 512)",
        "accel": "auto, kvm or tcg",
        "offline": "use only what is in the cache",
    },
)
@reported
def console(
    _context: Context,
    kernel: str,
    cpus: str | None = None,
    memory: str | None = None,
    accel: str = "auto",
    offline: bool = False,
) -> None:
    """Boot a kernel and show its console, until a guest answers or the boot failed."""
    from vms.command import KERNEL_PARAMETERS
    from vms.console import show_boot
    from vms.deadline import Deadline
    from vms.kernels.burden import burden
    from vms.template import BOOT_SECONDS

    named, machines, hardware = _one_guest(kernel, cpus, memory, accel, offline=offline)
    with soon_told(f"preparing {kernel}"):
        files = machines.fetch(named)
        machine = machines.machine(files, hardware)
    print(f"{named.name}: {' '.join(KERNEL_PARAMETERS)}", flush=True)
    deadline = Deadline(BOOT_SECONDS * burden(files).slowness, f"{named.name} to boot")
    seconds = show_boot(machine, named.name, deadline, lambda line: print(line, flush=True))
    print(f"{named.name} booted in {seconds:.1f} s ({machine.accelerator.name})")


def _one_guest(
    kernel: str, cpus: str | None, memory: str | None, accel: str, *, offline: bool
) -> tuple[Kernel, Machines, Hardware]:
    """The kernel, the machines that make its guest, and the hardware that it is to have."""
    from matrix.plan.project import Project
    from matrix.run.machines import Machines
    from vms.accel import check_request
    from vms.hardware import Hardware

    check_request(accel)
    virtual = count("--cpus", cpus, "virtual CPUs") or 1
    mebibytes = least_memory(memory)
    project = Project.open(ROOT, offline=offline)
    named, selection = one_kernel(project, kernel)
    machines = Machines(project, accel, selection.catalogue, memory=mebibytes)
    return named, machines, Hardware(cpus=virtual)


def _script(
    file: str,
    push: list[str],
    sysctl: list[str],
    ignore: list[str],
    stdin: str,
    *,
    user: bool,
    capture: bool,
    cpus: str | None,
    memory: str | None,
    timeout: str | None,
) -> Script:
    """The script that the flags describe. Raises UsageError."""
    from matrix.script.script import (
        Script,
        command_of,
        parse_ignored,
        parse_sysctls,
        read_program,
        with_pushed,
    )

    entry, files = read_program(Path(file))
    script = Script(
        Path(file).resolve().name,
        (*command_of(entry), *arguments(sys.argv)),
        with_pushed(files, push),
        user,
        parse_sysctls(sysctl),
        _stdin(stdin),
        float(count("--timeout", timeout, "seconds") or _SECONDS),
        count("--cpus", cpus, "virtual CPUs") or 1,
        least_memory(memory),
        parse_ignored(ignore),
        capture,
    )
    script.check()
    return script


def _print(result: Result, script: Script, *, json: bool) -> int:
    """Prints the result and returns the exit code."""
    from matrix.report.text.scripted import bad_script, print_script
    from vms.errors import UsageError

    if json:
        print_json(result.analysis.records)
    else:
        terminal = output.console()
        print_script(result.analysis, result.run, script, terminal)
        terminal.print(str(result.page), soft_wrap=True, markup=False)
    if message := bad_script(result.analysis.records):
        complain(f"error: {message}")
        return UsageError.exit_code
    return result.analysis.exit_code


def arguments(words: list[str]) -> list[str]:
    """The words of a command line after the first `--`."""
    return words[words.index("--") + 1 :] if "--" in words else []


def _stdin(name: str) -> bytes:
    """What a file or, for `-`, standard input holds. Raises UsageError if that is too much."""
    from vms.errors import UsageError

    if not name:
        return b""
    try:
        if name == "-":
            content = sys.stdin.buffer.read(_MOST_STDIN + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(_MOST_STDIN + 1)
    except OSError as error:
        raise UsageError(f"--stdin {name}: {error.strerror}") from error
    if len(content) > _MOST_STDIN:
        raise UsageError(f"--stdin {name}: it is longer than {_MOST_STDIN >> 20} MiB")
    return content
