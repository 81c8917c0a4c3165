"""A shell, or one command, in a guest, connected with this process's terminal."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from matrix.script.debugger import connecting_line, find_loaded_at, find_vmlinux
from matrix.script.script import PLACE, Script
from matrix.script.topology import Topology
from vms.command import DEBUGGER
from vms.deadline import Deadline
from vms.files import write_whole
from vms.kernels.kernel import BootFiles
from vms.template import Template
from vms.terminal import attach

_SECONDS = 60.0  # for the first bytes, and for files
_MOST_PULLED = 64 << 20


def shell_words(command: str, release: str, *, terminal: bool) -> tuple[str, ...]:
    """What runs in the guest: the command, else bash, with the kernel's name in its prompt if it
    has a terminal.
    """
    if command:
        return "bash", "-c", command
    return ("env", f"PS1=\\u@{release}:\\w\\$ ", "bash", "--norc", "-i") if terminal else ("bash",)


def run_shell(
    template: Template,
    script: Script,
    pulled: Mapping[str, Path],
    *,
    terminal: bool,
    debugged: BootFiles | None = None,
    topology: Topology | None = None,
) -> int:
    """Runs the script's command in a new guest and returns its exit code. Afterwards the files that
    `pulled` names in the guest are copied to these paths. With the files of its kernel in
    `debugged`, a debugger can connect, and how is told on standard error; so is the `topology` in
    which the command runs.

    Raises LostGuest if the guest ends before, HostError for a file that cannot be copied.
    """
    name = template.name
    with (
        template.start(debugged=debugged is not None) as guest,
        guest.ssh(Deadline(_SECONDS, f"a shell in {name}")) as ssh,
    ):
        deadline = guest.by_own_clock(Deadline(_SECONDS, f"files for {name}"))
        ssh.push_packed(script.packed, PLACE, deadline)
        if debugged:
            socket = guest.qemu.directory / DEBUGGER
            loaded_at = find_loaded_at(ssh, deadline)
            print(connecting_line(socket, find_vmlinux(debugged), loaded_at), file=sys.stderr, flush=True)
        words = script.command
        if topology:
            topology.make(ssh, name, deadline)
            words = topology.words(words)
            print(
                f"{topology.text}; `ip netns exec NAME` runs a command in another",
                file=sys.stderr,
                flush=True,
            )
        # `exit`: sshd reports no status of a program that it started itself and a signal ended
        command = f"sh {PLACE}/enter {shlex.join(words)}; exit $?"
        status = attach(ssh, command, name, terminal=terminal)
        for source, target in pulled.items():
            deadline = guest.by_own_clock(Deadline(_SECONDS, f"files of {name}"))
            path = source if source.startswith("/") else f"{PLACE}/work/{source}"
            write_whole(target, ssh.pull(path, _MOST_PULLED, deadline))
    return status
