"""What a guest prints on its console cannot harm its reader, and ends a guest that only prints."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from vms.agent import Agent
from vms.command import Machine
from vms.deadline import Deadline
from vms.errors import LostGuest, Unbootable
from vms.guest import running

Fake = Callable[[str], None]
PING = b'{"id": "7", "do": "ping"}'


def soon(seconds: float = 60) -> Deadline:
    return Deadline(seconds, "the answer")


def test_the_console_cannot_command_a_terminal_or_be_endless(fake_qemu: Fake, machine: Machine) -> None:
    with running(machine, "6.1.0") as guest:
        guest.ask(PING, soon())
        (guest.qemu.directory / "console").write_bytes(
            b"x" * (3 << 20) + b"\n\x1b[31mred\x1b[0m\x07\x9b\xff\xe2\x80\xae\r\n"
        )
        assert guest.console().endswith("x\nred␇\ufffd\ufffd<U+202E>\n")
        assert len(guest.console()) <= 1 << 20


def test_a_console_full_of_what_cannot_be_seen_keeps_its_last_line(fake_qemu: Fake, machine: Machine) -> None:
    with running(machine, "6.1.0") as guest:
        guest.ask(PING, soon())
        (guest.qemu.directory / "console").write_bytes("\u202e".encode() * (1 << 18) + b"\nthe cause\n")
        assert guest.console().endswith("\nthe cause\n")
        assert len(guest.console()) <= 1 << 20


def test_lines_without_end_make_no_endless_reason(fake_qemu: Fake, machine: Machine) -> None:
    with running(machine, "6.1.0") as guest:
        guest.ask(PING, soon())
        (guest.qemu.directory / "console").write_bytes((b"Oops: " + b"x" * 10_000 + b"\n") * 100)
        assert guest.crashed is not None
        assert len(guest.crashed) < 20_000
        assert len(str(guest.lost("gone"))) < 10_000


@pytest.mark.fault(
    phase="cell",
    fault="guest floods its console",
    outcome="the console is cut at its limit, and the guest goes on",
)
def test_a_console_without_end_fills_no_disk_says_so_and_ends_no_guest(
    fake_qemu: Fake, machine: Machine
) -> None:
    fake_qemu("babble")
    with running(machine, "6.1.0") as guest:
        guest.ask(PING, soon())
        assert (guest.qemu.directory / "console").stat().st_size == 8 << 20
        assert guest.console().endswith("\n[cut: the console printed more than 8 MiB]\n")
        assert guest.crashed is None


@pytest.mark.fault(
    phase="boot",
    fault="guest floods its console",
    outcome="the kernel is given up at once, and not booted again",
)
def test_a_kernel_that_only_prints_is_given_up_long_before_its_deadline(
    fake_qemu: Fake, machine: Machine
) -> None:
    fake_qemu("babble")
    ours, theirs = socket.socketpair()
    with running(machine, "6.1.0") as guest, theirs:
        guest._ports["ssh"] = ours
        deadline = soon(3000)
        with pytest.raises(Unbootable, match=r"^6\.1\.0 boots no guest: it printed more than 8 MiB on its"):
            guest.start_agent(Agent(Path("guest"), "guest.agent"), deadline)
        assert deadline.remaining > 2000


@pytest.mark.fault(
    phase="boot", fault="guest crashes", outcome="noticed at once even if it does not end the guest"
)
def test_a_kernel_that_panics_while_it_boots_is_noticed_though_the_guest_goes_on(
    fake_qemu: Fake, machine: Machine
) -> None:
    ours, theirs = socket.socketpair()
    with running(machine, "6.1.0") as guest, theirs:
        guest._ports["ssh"] = ours
        (guest.qemu.directory / "console").write_text("[   1.6] Kernel panic - not syncing: no init\n")
        with pytest.raises(LostGuest, match=r"cannot answer: its kernel panicked"):
            guest.start_agent(Agent(Path("guest"), "guest.agent"), soon(3000))
