"""Finds out which accelerator boots a kernel on this host: KVM or TCG.

A /dev/kvm that opens, makes a virtual machine and even runs a virtual CPU may still boot no kernel,
and `accel=kvm:tcg` does not fall back then. Only a kernel that reaches user space within a short
deadline proves KVM. The verdict is cached for this boot of the host and this QEMU.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vms.cache import Cache
from vms.command import Accelerator, Machine
from vms.deadline import Deadline
from vms.errors import HostError, LostGuest, UsageError
from vms.files import write_whole
from vms.guest import Guest, running
from vms.hardware import Hardware
from vms.interrupt import interrupted
from vms.qemu_binary import find_qemu
from vms.suggest import suggestion
from vms.virtme import VirtmeMachine

REQUESTS = ("auto", "kvm", "tcg")
# On some hosts that are virtual machines KVM has registers that it cannot set: QEMU aborts with
# `host`, and a plain model may run.
KVM_CPUS = ("host", "qemu64")
# No features that only some hosts have, so that a guest is the same everywhere; rdrand, so that old
# kernels need not wait for entropy. Not `max`: its AVX makes the C library choose code that TCG
# translates badly; a boot takes a tenth longer. No cx16: in one of some thousand guests, QEMU 7.2
# put an operand's bits into the flags register after a cmpxchg16b of the slab allocator, and the
# kernel died of a double fault. Without it kernels use a lock instead.
TCG_CPU = "qemu64,+rdrand,-cx16"
PROOF_SECONDS = 4.0
"""Seconds until a kernel must reach user space, with each CPU model; with KVM a boot takes about
one.
"""
_NO_KVM = "KVM did not boot a kernel on this host"

DEVICE = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_KIND = "accelerators"
_USER_SPACE = "initramfs: "  # begins what either kind of initramfs prints first
_POLL = 0.02


@dataclass(frozen=True)
class Verdict:
    """The CPU model with which KVM boots a kernel here, empty if there is none, and what was tried
    and seen.
    """

    cpu: str
    seen: str


def check_request(requested: str) -> None:
    """Raises UsageError unless this is one of REQUESTS."""
    if requested not in REQUESTS:
        raise UsageError(f"--accel {requested!r}: {suggestion(requested, REQUESTS)}")


def choose_accelerator(
    requested: str, cache: Cache, machine: Callable[[], Machine | VirtmeMachine]
) -> Accelerator:
    """The accelerator to use; its `why` names the reason.

    `requested` is one of REQUESTS. `machine` returns a machine that can boot, with any accelerator;
    it is called only if KVM has to be proven. Raises UsageError for another request, HostError if
    KVM was requested and does not boot a kernel.
    """
    check_request(requested)
    if requested == "tcg":
        return Accelerator("tcg", TCG_CPU, "requested with --accel tcg")
    closed = _closed()
    if closed:
        verdict = Verdict("", closed)
    else:
        recalled = _recalled(cache)
        # If the user requests KVM it is tried again: the host may have been repaired since.
        if recalled and (recalled.cpu or requested == "auto"):
            verdict = recalled
        else:
            verdict = prove_kvm(machine())
            _remember(cache, verdict)
    if verdict.cpu:
        return Accelerator("kvm", verdict.cpu, verdict.seen)
    if requested == "kvm":
        raise HostError(f"{_NO_KVM}: {verdict.seen}. Without --accel kvm, TCG is used")
    return Accelerator("tcg", TCG_CPU, f"{_NO_KVM}: {verdict.seen}")


def prove_kvm(machine: Machine | VirtmeMachine) -> Verdict:
    """Boots the kernel with KVM until it starts the first program of the initramfs. Tries the
    KVM_CPUS in order until one works.
    """
    seen = []
    for cpu in KVM_CPUS:
        began = time.monotonic()
        wrong = _try(machine, cpu)
        seconds = time.monotonic() - began
        if not wrong:
            return Verdict(
                cpu,
                f"{machine.vmlinuz.name} reached user space with -accel kvm -cpu {cpu} in {seconds:.1f} s",
            )
        seen.append(f"with -cpu {cpu}, after {seconds:.1f} s, {wrong}")
    return Verdict("", f"tried {machine.vmlinuz.name}: {'; '.join(seen)}")


def _try(machine: Machine | VirtmeMachine, cpu: str) -> str:
    """Returns an empty text if KVM boots the kernel with this CPU model, else one line about what
    was seen.
    """
    kvm = Accelerator("kvm", cpu, "to be proven")
    proof = replace(machine, accelerator=kvm, hardware=Hardware())
    try:
        with running(proof, "the kernel that proves KVM") as guest:
            # by its own clock, or a busy host would be taken for one without KVM
            deadline = guest.by_own_clock(Deadline(PROOF_SECONDS, "a kernel to reach user space with KVM"))
            return _watch(guest, deadline).replace("\n", " | ")
    except LostGuest as error:
        if interrupted():
            raise
        return str(error).replace("\n", " | ")


def _watch(guest: Guest, deadline: Deadline) -> str:
    """Returns an empty text once the kernel has reached user space, else what was seen instead."""
    while True:
        console = guest.console()
        if _USER_SPACE in console:
            return ""
        last = (
            f", its last console line was: {console.splitlines()[-1]}"
            if console.strip()
            else ", its console was empty"
        )
        if guest.qemu.ended:
            return guest.qemu.epitaph + last
        if deadline.expired:
            if interrupted():
                raise guest.lost("interrupted")
            return f"user space was not reached{last}"
        time.sleep(_POLL)


def _closed() -> str:
    """Why /dev/kvm cannot be opened; empty if it can."""
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except FileNotFoundError:
        return f"there is no {DEVICE}"
    except PermissionError:
        return f"{DEVICE} may not be opened by this user; add the user to the group kvm"
    except OSError as error:
        return f"{DEVICE} cannot be opened: {error.strerror}"
    return ""


def _place(cache: Cache) -> Path:
    where = f"{BOOT_ID.read_text().strip()} {find_qemu().identity}"
    return cache.path(_KIND, hashlib.sha256(where.encode()).hexdigest()[:32])


def _recalled(cache: Cache) -> Verdict | None:
    try:
        stored = json.loads(_place(cache).read_bytes())
        return Verdict(str(stored["cpu"]), str(stored["seen"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _remember(cache: Cache, verdict: Verdict) -> None:
    stored = {"cpu": verdict.cpu, "seen": verdict.seen}
    write_whole(_place(cache), json.dumps(stored).encode())
