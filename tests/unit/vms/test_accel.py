from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vms import accel
from vms.accel import choose_accelerator
from vms.cache import Cache
from vms.command import Machine
from vms.errors import HostError, UsageError
from vms.guest import Guest, running
from vms.qemu import Qemu

Fake = Callable[[str], None]


class Proofs:
    """Counts how often a machine is asked for, which is once for each proof."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.count = 0

    def __call__(self) -> Machine:
        self.count += 1
        return self.machine


@pytest.fixture
def proofs(machine: Machine) -> Proofs:
    return Proofs(machine)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(autouse=True)
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /dev/kvm that opens, and a boot of this host."""
    path = tmp_path / "kvm"
    path.touch()
    monkeypatch.setattr(accel, "DEVICE", path)
    (tmp_path / "boot_id").write_text("first boot\n")
    monkeypatch.setattr(accel, "BOOT_ID", tmp_path / "boot_id")
    monkeypatch.setattr(accel, "PROOF_SECONDS", 60.0)  # a busy host may need it
    return path


def test_kvm_is_used_once_a_kernel_reached_user_space(fake_qemu: Fake, cache: Cache, proofs: Proofs) -> None:
    fake_qemu("userspace")
    chosen = choose_accelerator("auto", cache, proofs)
    assert (chosen.name, chosen.cpu) == ("kvm", "host")
    assert "reached user space with -accel kvm -cpu host" in chosen.why


def test_kvm_is_proved_by_the_guests_own_clock(
    fake_qemu: Fake, cache: Cache, proofs: Proofs, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def clock(_qemu: Qemu) -> float:  # passes a second each time somebody looks at it
        looked.append(1.0)
        return sum(looked)

    monkeypatch.setattr("vms.qemu.Qemu.clock", clock)
    assert "user space was not reached" in choose_accelerator("auto", cache, proofs).why
    assert len(looked) > accel.PROOF_SECONDS


@pytest.mark.fault(phase="start", fault="KVM boots no kernel", outcome="guests are emulated; it is said why")
def test_a_kernel_that_says_nothing_proves_that_kvm_does_not_work(
    fake_qemu: Fake, cache: Cache, proofs: Proofs, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def running_for_one_line(machine: Machine, what: str) -> Iterator[Guest]:
        with running(machine, what) as guest:
            while not guest.console():
                time.sleep(0.01)
            yield guest

    monkeypatch.setattr(accel, "running", running_for_one_line)
    monkeypatch.setattr(accel, "PROOF_SECONDS", 0.01)
    chosen = choose_accelerator("auto", cache, proofs)
    assert (chosen.name, chosen.cpu) == ("tcg", accel.TCG_CPU)
    assert "with -cpu host" in chosen.why
    assert "with -cpu qemu64" in chosen.why
    assert "user space was not reached, its last console line was: [    0.0] Linux version 6.1" in chosen.why
    assert "\n" not in chosen.why


def test_a_qemu_that_aborts_is_quoted(fake_qemu: Fake, cache: Cache, proofs: Proofs) -> None:
    fake_qemu("exit")
    assert (
        "QEMU ended with status 1: qemu: could not open 'nothing'"
        in choose_accelerator("auto", cache, proofs).why
    )


def test_the_verdict_is_remembered_for_this_boot_and_this_qemu(
    fake_qemu: Fake, cache: Cache, proofs: Proofs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_qemu("exit")
    first = choose_accelerator("auto", cache, proofs)
    assert choose_accelerator("auto", cache, proofs) == first
    assert proofs.count == 1
    (tmp_path / "boot_id").write_text("second boot\n")
    choose_accelerator("auto", cache, proofs)
    assert proofs.count == 2
    monkeypatch.setenv("FAKE_QEMU_BUILD", "2")
    fake_qemu("exit")
    choose_accelerator("auto", cache, proofs)
    assert proofs.count == 3


@pytest.mark.fault(phase="start", fault="entry damaged", outcome="KVM is tried again")
def test_a_damaged_verdict_is_found_anew(fake_qemu: Fake, cache: Cache, proofs: Proofs) -> None:
    fake_qemu("exit")
    choose_accelerator("auto", cache, proofs)
    (verdict,) = (cache.root / "accelerators").iterdir()
    verdict.write_text("{")
    choose_accelerator("auto", cache, proofs)
    assert proofs.count == 2


def test_asking_for_kvm_proves_again_and_fails_with_what_was_seen(
    fake_qemu: Fake, cache: Cache, proofs: Proofs
) -> None:
    fake_qemu("exit")
    choose_accelerator("auto", cache, proofs)
    with pytest.raises(
        HostError,
        match=r"KVM did not boot a kernel on this host: tried vmlinuz: with -cpu host, after \d+\.\d s, QEMU",
    ):
        choose_accelerator("kvm", cache, proofs)
    fake_qemu("userspace")
    assert choose_accelerator("kvm", cache, proofs).name == "kvm"
    assert choose_accelerator("auto", cache, proofs).name == "kvm"
    assert proofs.count == 3


def test_tcg_needs_no_proof(cache: Cache, proofs: Proofs) -> None:
    assert choose_accelerator("tcg", cache, proofs).name == "tcg"
    assert proofs.count == 0


@pytest.mark.fault(phase="start", fault="/dev/kvm vanishes", outcome="the next run emulates, and says why")
def test_a_device_that_vanishes_after_it_was_proved_is_not_used(
    fake_qemu: Fake, cache: Cache, proofs: Proofs, device: Path
) -> None:
    fake_qemu("userspace")
    assert choose_accelerator("auto", cache, proofs).name == "kvm"
    device.unlink()
    chosen = choose_accelerator("auto", cache, proofs)
    assert (chosen.name, chosen.why) == (
        "tcg",
        f"KVM did not boot a kernel on this host: there is no {device}",
    )


def test_without_a_device_nothing_is_booted(
    fake_qemu: Fake, cache: Cache, proofs: Proofs, device: Path
) -> None:
    device.unlink()
    why = choose_accelerator("auto", cache, proofs).why
    assert why == f"KVM did not boot a kernel on this host: there is no {device}"
    with pytest.raises(HostError, match="there is no"):
        choose_accelerator("kvm", cache, proofs)
    assert proofs.count == 0


@pytest.mark.fault(
    phase="start", fault="/dev/kvm does not open", outcome="guests are emulated; it is said why"
)
@pytest.mark.parametrize(
    ("number", "said"), [(errno.EACCES, "may not be opened by this user"), (errno.ENODEV, "No such device")]
)
def test_a_device_that_does_not_open(
    cache: Cache, proofs: Proofs, monkeypatch: pytest.MonkeyPatch, device: Path, number: int, said: str
) -> None:
    really = os.open

    def refuse(path: Path, flags: int, *rest: int) -> int:
        if path == device:
            raise OSError(number, os.strerror(number))
        return really(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)
    assert said in choose_accelerator("auto", cache, proofs).why


def test_another_word_is_refused(cache: Cache, proofs: Proofs) -> None:
    with pytest.raises(UsageError, match="--accel 'xen': there are auto, kvm, tcg"):
        choose_accelerator("xen", cache, proofs)
