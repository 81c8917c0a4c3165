from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.floods import WAYS, sending
from vms.agent import Agent
from vms.answer import Answer
from vms.command import Machine
from vms.deadline import Deadline
from vms.errors import HostError, LostGuest
from vms.guest import LONGEST_ANSWER, Guest, running

Fake = Callable[[str], None]
PING = b'{"id": "7", "do": "ping"}'


def soon(seconds: float = 60) -> Deadline:
    return Deadline(seconds, "the answer")


def test_an_answer(fake_qemu: Fake, machine: Machine) -> None:
    with running(machine, "6.1.0") as guest:
        for identifier in ("7", "8"):
            answer = guest.ask(json.dumps({"id": identifier, "do": "ping"}).encode(), soon())
            assert json.loads(answer.header)["id"] == identifier
            assert json.loads(answer.whole)["asked"] == identifier


@pytest.mark.fault(phase="cell", fault="guest answers garbage", outcome="it is skipped")
def test_lines_and_answers_for_another_request_are_skipped(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("stale")
    with running(machine, "6.1.0") as guest:
        assert json.loads(guest.ask(PING, soon()).whole) == {"ready": True, "asked": "7"}


@pytest.mark.parametrize("lie", ["huge", "negative", "word", "true", "none"])
@pytest.mark.fault(phase="cell", fault="guest answers garbage", outcome="the guest counts as lost")
def test_a_header_without_a_possible_length_loses_the_guest(
    fake_qemu: Fake, machine: Machine, lie: str
) -> None:
    fake_qemu(lie)
    with (
        running(machine, "6.1.0") as guest,
        pytest.raises(
            LostGuest, match=rf"announced an answer of .* expected a number up to {LONGEST_ANSWER}"
        ),
    ):
        guest.ask(PING, soon())


@pytest.mark.fault(
    phase="cell", fault="guest truncates its answer", outcome="the guest counts as lost at the deadline"
)
def test_a_header_that_announces_too_much_loses_the_guest_at_the_deadline(
    fake_qemu: Fake, machine: Machine
) -> None:
    fake_qemu("long")
    with running(machine, "6.1.0") as guest:
        guest.attach(soon())
        with pytest.raises(LostGuest, match=r"did not answer within 0\.5 s"):
            guest.ask(PING, soon(0.5))


def test_a_header_that_announces_too_little_cuts_the_answer(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("short")
    with running(machine, "6.1.0") as guest:
        assert guest.ask(PING, soon()).whole == b'{"r'


@pytest.mark.fault(
    phase="cell",
    fault="guest silent",
    outcome="the guest counts as lost at the deadline; its console is shown",
)
def test_silence_ends_with_the_deadline_and_shows_the_console(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("hang")
    with running(machine, "6.1.0") as guest:
        guest.attach(soon())
        with pytest.raises(LostGuest) as lost:
            guest.ask(PING, soon(0.5))
    assert "6.1.0: did not answer within 0.5 s (the answer)" in str(lost.value)
    assert "Linux version 6.1" in lost.value.console


@pytest.mark.fault(phase="cell", fault="guest silent", outcome="an agent that is gone is noticed in seconds")
def test_an_agent_that_is_gone_is_noticed_long_before_the_deadline(
    fake_qemu: Fake, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vms.guest._SILENT_SECONDS", 0.3)
    fake_qemu("gone")
    with running(machine, "6.1.0") as guest:
        guest.had_agent = True
        deadline = soon(3000)
        with pytest.raises(LostGuest, match=r"6\.1\.0: cannot answer: its agent is gone \(the answer\)"):
            guest.ask(PING, deadline)
        assert deadline.remaining > 2000


def test_an_agent_that_is_silent_and_there_has_its_whole_deadline(
    fake_qemu: Fake, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vms.guest._SILENT_SECONDS", 0.1)
    fake_qemu("hang")
    with running(machine, "6.1.0") as guest:
        guest.attach(soon())
        guest.had_agent = True
        with pytest.raises(LostGuest, match=r"did not answer (query-chardev )?within 2 s"):
            guest.ask(PING, soon(2))


def test_a_slow_guest_is_given_more_time_for_its_answer(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("hang")
    with running(machine, "6.1.0") as guest:
        guest.attach(soon())
        guest.slowness = 3.0
        with pytest.raises(LostGuest, match=r"did not answer within 0\.6 s"):
            guest.ask(PING, soon(0.2))


@pytest.mark.fault(phase="cell", fault="guest floods", outcome="its answer is cut")
def test_an_answer_without_end_is_cut(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("flood")
    with (
        running(machine, "6.1.0") as guest,
        pytest.raises(LostGuest, match=f"more than {LONGEST_ANSWER >> 20} MiB"),
    ):
        guest.ask(PING, soon(60))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.fault(phase="cell", fault="guest floods", outcome="asking ends at its deadline or most bytes")
def test_asking_ends_at_its_deadline_or_its_most_bytes_whatever_arrives(
    fake_qemu: Fake, machine: Machine, way: str
) -> None:
    ours, theirs = socket.socketpair()
    with running(machine, "6.1.0") as guest, theirs, sending(theirs, way):
        guest._ports["agent"] = ours
        began = time.monotonic()
        with pytest.raises(LostGuest, match=r"did not answer within 1 s|sent more than 16 MiB"):
            guest.ask(PING, soon(1))
        assert time.monotonic() - began < 30


def test_lines_before_an_answer_count_as_part_of_it(
    fake_qemu: Fake, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vms.guest.LONGEST_ANSWER", 1 << 20)
    ours, theirs = socket.socketpair()
    with running(machine, "6.1.0") as guest, theirs, sending(theirs, "newlines"):
        guest._ports["agent"] = ours
        with pytest.raises(LostGuest, match=r"sent more than 1 MiB \(the answer\)"):
            guest.ask(PING, soon(60))


@pytest.mark.parametrize(
    "answer",
    [b"{", b"[" * 100_000, b'{"ready": 1}', b'{"ready": false}', b"{}", b'{"x": "\xff'],
    ids=["broken", "deep", "another type", "not ready", "empty", "not a text"],
)
@pytest.mark.fault(phase="boot", fault="guest answers garbage", outcome="an error that names the agent")
def test_an_agent_that_does_not_say_that_it_is_ready_is_named(
    fake_qemu: Fake, machine: Machine, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(Guest, "ask", lambda *_: Answer(b"", answer))
    with (
        running(machine, "6.1.0") as guest,
        pytest.raises(HostError, match=r"6\.1\.0: the agent is not ready"),
    ):
        guest.ping(soon())


@pytest.mark.parametrize("size", [b"", b', "bytes": 0'])
def test_finding_the_answer_among_others_decodes_nothing_else(
    fake_qemu: Fake, machine: Machine, size: bytes
) -> None:
    ours, theirs = socket.socketpair()
    junk = b'{"id": "8", "x": [' + b"[]," * 500_000 + b"[]]" + size + b"}\n"
    with running(machine, "6.1.0") as guest, theirs:
        guest._ports["agent"] = ours
        sender = threading.Thread(target=theirs.sendall, args=(junk + b'{"id": "7", "bytes": 2}\n{}',))
        sender.start()
        tracemalloc.start()
        try:
            assert guest.ask(PING, soon()) == Answer(b'{"id": "7", "bytes": 2}', b"{}")
            assert tracemalloc.get_traced_memory()[1] < 6 * len(junk)
        finally:
            tracemalloc.stop()
            sender.join()


@pytest.mark.fault(
    phase="cell", fault="guest crashes", outcome="the cell ends as `crash` in the kernel's words"
)
def test_a_crash_is_the_kernels_and_in_its_words(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("panic")
    with running(machine, "6.1.0") as guest:
        began = time.monotonic()
        with pytest.raises(LostGuest, match="went away"):
            guest.ask(PING, soon(30))
        assert time.monotonic() - began < 25
        assert guest.crashed == "BUG: kernel NULL pointer dereference"


@pytest.mark.parametrize(
    ("printed", "crashed"),
    [
        ("Kernel panic - not syncing: Attempted to kill init!", True),
        ("BUG: unable to handle page fault for address: 0000", True),
        ("Oops: 0000 [#1] PREEMPT SMP", True),
        ("kernel BUG at net/netfilter/nf_conntrack_core.c:1", True),
        ("general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP", True),
        ("BUG: KASAN: slab-use-after-free in nf_ct_delete", False),
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


@pytest.mark.fault(phase="cell", fault="QEMU ends early", outcome="an error, and no crash of the kernel")
def test_qemus_own_failure_is_our_error_not_a_crash(fake_qemu: Fake, machine: Machine) -> None:
    fake_qemu("exit")
    with running(machine, "6.1.0") as guest:
        with pytest.raises(LostGuest, match="could not open 'nothing'"):
            guest.ask(PING, soon())
        assert guest.crashed is None


@pytest.mark.parametrize(
    ("mode", "switched_off"), [("poweroff", True), ("panic", False), ("exit", False), ("", False)]
)
def test_only_a_guest_that_ends_in_order_was_switched_off(
    fake_qemu: Fake, machine: Machine, mode: str, switched_off: bool
) -> None:
    fake_qemu(mode)
    with running(machine, "6.1.0") as guest:
        with contextlib.suppress(LostGuest):
            guest.ask(PING, soon())
        assert guest.switched_off is switched_off


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


def test_a_kernel_that_panicked_without_ending_the_guest_costs_seconds_not_the_deadline(
    fake_qemu: Fake, machine: Machine
) -> None:
    fake_qemu("wedged")
    with running(machine, "6.1.0") as guest:
        began = time.monotonic()
        with pytest.raises(LostGuest, match=r"6\.1\.0: cannot answer: its kernel panicked"):
            guest.ask(PING, soon(300))
        assert time.monotonic() - began < 100
        assert guest.crashed == "Kernel panic - not syncing: Fatal exception"


def test_the_agent_is_told_to_end_at_a_limit_by_the_guests_own_clock(
    fake_qemu: Fake, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("vms.qemu.Qemu.clock", lambda _self: now)
    ours, theirs = socket.socketpair()
    heard = []

    def agent() -> None:
        nonlocal now
        heard.append(json.loads(theirs.recv(1000)))
        theirs.settimeout(1.0)
        with contextlib.suppress(TimeoutError):  # as long as the guest waits for a processor
            heard.append(json.loads(theirs.recv(1000)))
        now = 7.0
        theirs.settimeout(20.0)
        heard.append(json.loads(theirs.recv(1000)))
        theirs.sendall(b'{"id": "7", "bytes": 2}\n{}')

    with running(machine, "6.1.0") as guest, theirs:
        guest._ports["agent"] = ours
        guest.slowness = 2.0
        thread = threading.Thread(target=agent)
        thread.start()
        assert guest.ask(PING, soon(300), Deadline(3.0, "it to end")).whole == b"{}"
        thread.join()
    assert heard == [json.loads(PING), {"do": "end"}]


def test_the_time_that_a_guest_waits_for_a_processor_is_not_the_guests(
    fake_qemu: Fake, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = 0.0
    monkeypatch.setattr("vms.qemu.starved", lambda _pid: waited)
    with running(machine, "6.1.0") as guest:
        before, clock, after = time.monotonic(), guest.qemu.clock(), time.monotonic()
        assert before <= clock <= after
        deadline = Deadline(5.0, "an answer").on(guest.qemu.clock, 2)
        assert deadline.seconds == 10
        assert deadline.on(guest.qemu.clock, 2) is deadline
        left = deadline.remaining
        waited = 1e9  # longer than the guest runs: a tenth of that time is the guest's at least
        before, age, after = time.monotonic(), guest.qemu.age, time.monotonic()
        began = guest.qemu._began
        assert 0.1 * (before - began) <= age * 1.001
        assert age <= 0.1 * (after - began) * 1.001
        assert deadline.remaining > left - 0.1 * (time.monotonic() - began)
