from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vms.command import Machine
from vms.deadline import Deadline
from vms.errors import LostGuest
from vms.guest import LONGEST_ANSWER, Agent, running

Fake = Callable[[str], None]
PING = b'{"id": "7", "do": "ping"}'


def soon(seconds: float = 20) -> Deadline:
    return Deadline(seconds, "the answer")


def test_an_answer(fake_qemu: Fake, machine: Machine) -> None:
    with running(machine, "6.1.0") as guest:
        assert json.loads(guest.ask(PING, soon()))["id"] == "7"
        assert json.loads(guest.ask(b'{"id": "8", "do": "ping"}', soon()))["id"] == "8"


def test_lines_that_answer_something_else_are_dropped(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("stale")
    with running(machine, "6.1.0") as guest:
        assert json.loads(guest.ask(PING, soon()))["id"] == "7"


def test_silence_ends_with_the_deadline_and_shows_the_console(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("hang")
    with running(machine, "6.1.0") as guest:
        guest.attach(soon(20))
        with pytest.raises(LostGuest) as lost:
            guest.ask(PING, soon(0.5))
    assert "6.1.0: did not answer within 0.5 s (the answer)" in str(lost.value)
    assert "Linux version 6.1" in lost.value.console


def test_an_answer_without_end_is_cut(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("flood")
    with (
        running(machine, "6.1.0") as guest,
        pytest.raises(LostGuest, match=f"more than {LONGEST_ANSWER >> 20} MiB"),
    ):
        guest.ask(PING, soon(60))


def test_a_crash_is_the_kernels_and_in_its_words(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("panic")
    with running(machine, "6.1.0") as guest:
        began = time.monotonic()
        with pytest.raises(LostGuest, match="went away"):
            guest.ask(PING, soon(30))
        assert time.monotonic() - began < 5
        assert guest.crashed is not None
        assert guest.crashed.splitlines()[0] == "[   12.5] BUG: kernel NULL pointer dereference"
        assert "Fatal exception" in guest.crashed


@pytest.mark.parametrize(
    ("printed", "crashed"),
    [
        ("Kernel panic - not syncing: Attempted to kill init!", True),
        ("BUG: unable to handle page fault for address: 0000", True),
        ("Oops: 0000 [#1] PREEMPT SMP", True),
        ("kernel BUG at net/netfilter/nf_conntrack_core.c:1", True),
        ("general protection fault, probably for non-canonical address", True),
        ("BUG: KASAN: slab-use-after-free in nf_ct_delete", True),
        ("watchdog: BUG: soft lockup - CPU#0 stuck for 26s!", False),
        ("BUG: workqueue lockup - pool cpus=0", False),
        ("WARNING: CPU: 0 PID: 1 at net/netfilter/nf_nat_core.c", False),
        ("nf_conntrack: nf_conntrack: table full, dropping packet", False),
        ("rcu: INFO: rcu_preempt self-detected stall on CPU", False),
    ],
)
def test_what_counts_as_a_crash(fake_qemu: Fake, machine: Machine, printed: str, crashed: bool) -> None:
    with running(machine, "6.1.0") as guest:
        guest.ask(PING, soon())
        with (guest.qemu.directory / "console").open("a") as console:
            console.write(f"[    1.0] {printed}\r\n")
        assert (guest.crashed is not None) is crashed


def test_the_console_cannot_command_a_terminal_or_be_endless(fake_qemu: Fake, machine: Machine) -> None:
    with running(machine, "6.1.0") as guest:
        guest.ask(PING, soon())
        (guest.qemu.directory / "console").write_bytes(
            b"x" * (3 << 20) + b"\n\x1b[31mred\x1b[0m\x07\x9b\xff\n"
        )
        assert guest.console().endswith("x\nred\ufffd\ufffd\n")
        assert len(guest.console()) <= 1 << 20


def test_qemus_own_failure_is_our_error_not_a_crash(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("exit")
    with running(machine, "6.1.0") as guest:
        with pytest.raises(LostGuest, match="could not open 'nothing'"):
            guest.ask(PING, soon())
        assert guest.crashed is None


def test_an_answer_from_a_touched_template_is_refused(fake_qemu: Fake, machine: Machine) -> None:
    intact = True
    with running(machine, "6.1.0", lambda: intact) as guest:
        guest.ask(PING, soon())
        intact = False
        with pytest.raises(LostGuest, match="was changed while it ran"):
            guest.ask(PING, soon())


def test_a_lost_guest_carries_its_console_out(fake_qemu: Fake, machine: Machine) -> None:
    def lose() -> None:
        with running(machine, "6.1.0") as guest:
            guest.ask(PING, soon())
            raise LostGuest("elsewhere")

    with pytest.raises(LostGuest) as lost:
        lose()
    assert "Linux version" in lost.value.console


def test_the_agents_digest_changes_with_any_byte_or_name_but_not_with_bytecode(tmp_path: Path) -> None:
    (tmp_path / "guest").mkdir()
    (tmp_path / "guest" / "a.py").write_text("1")

    def digest() -> str:
        return Agent(tmp_path / "guest", "guest.agent").digest

    first = digest()
    (tmp_path / "guest" / "__pycache__").mkdir()
    (tmp_path / "guest" / "__pycache__" / "a.pyc").write_text("1")
    assert digest() == first
    (tmp_path / "guest" / "a.py").write_text("2")
    second = digest()
    (tmp_path / "guest" / "a.py").rename(tmp_path / "guest" / "b.py")
    assert len({first, second, digest()}) == 3
    assert Agent(tmp_path / "guest", "guest.other").digest != digest()


def test_what_is_the_users_own_is_told_from_what_is_ours(tmp_path: Path) -> None:
    for name in ("guest", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "guest" / "a.py").write_text("1")

    def digest() -> str:
        return Agent(tmp_path / "guest", "guest.agent", tmp_path / "mine").digest

    first = digest()
    (tmp_path / "guest" / "a.py").rename(tmp_path / "mine" / "a.py")
    assert digest() != first
