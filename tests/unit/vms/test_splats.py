from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vms.splats import MOST_CHARACTERS, MOST_SPLATS, Kind, find_splats, merged

FIXTURES = Path(__file__).parents[2] / "fixtures" / "splats"

# The first line of each kind of splat in its forms, from the kernel's source, not from a kernel.
FORMS = [
    ("Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100", Kind.PANIC),
    ("Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)", Kind.PANIC),
    ("BUG: kernel NULL pointer dereference, address: 0000000000000008", Kind.OOPS),
    ("BUG: unable to handle page fault for address: ffff8880deadbeef", Kind.OOPS),
    ("Oops: 0002 [#1] PREEMPT SMP NOPTI", Kind.OOPS),
    ("general protection fault, probably for non-canonical address 0xdead00000108: 0000 [#1] SMP", Kind.OOPS),
    ("divide error: 0000 [#1] SMP", Kind.OOPS),
    ("traps: PANIC: double fault, error_code: 0x0", Kind.OOPS),
    ("kernel BUG at net/netfilter/nf_conntrack_core.c:1!", Kind.BUG),
    ("BUG: sleeping function called from invalid context at mm/slab.h:1", Kind.BUG),
    ("BUG: Bad page state in process python3  pfn:1234", Kind.BUG),
    (
        "WARNING: CPU: 0 PID: 7 at net/netfilter/nf_nat_core.c:1 nf_nat_setup_info+0x1/0x2 [nf_nat]",
        Kind.WARNING,
    ),
    ("WARNING: net/netfilter/nf_nat_core.c:1 at nf_nat_setup_info+0x1/0x2, CPU#0: python3/7", Kind.WARNING),
    ("BUG: KASAN: slab-use-after-free in nf_ct_delete+0x1/0x2", Kind.KASAN),
    ("BUG: KFENCE: use-after-free read in nf_ct_delete+0x1/0x2", Kind.SANITIZER),
    ("BUG: KCSAN: data-race in nf_ct_delete / nf_ct_get", Kind.SANITIZER),
    ("UBSAN: array-index-out-of-bounds in net/netfilter/nf_nat_core.c:1:2", Kind.UBSAN),
    ("WARNING: possible circular locking dependency detected", Kind.LOCKDEP),
    ("WARNING: suspicious RCU usage", Kind.LOCKDEP),
    ("WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected", Kind.LOCKDEP),
    ("INFO: trying to register non-static key.", Kind.LOCKDEP),
    ("[ BUG: Invalid wait context ]", Kind.LOCKDEP),
    ("watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [python3:7]", Kind.LOCKUP),
    ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 0", Kind.LOCKUP),
    ("BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!", Kind.LOCKUP),
    ("rcu: INFO: rcu_preempt self-detected stall on CPU", Kind.STALL),
    ("rcu: INFO: rcu_sched detected stalls on CPUs/tasks:", Kind.STALL),
    ("INFO: task python3:7 blocked for more than 120 seconds.", Kind.HUNG_TASK),
    ("Out of memory: Killed process 7 (python3) total-vm:1kB, anon-rss:1kB", Kind.OUT_OF_MEMORY),
]
HARMLESS = [
    "nf_conntrack: nf_conntrack: table full, dropping packet",
    "WARNING: the user wrote this",
    "Spectre V2 : WARNING: Unprivileged eBPF is enabled",
    "rcu: Hierarchical RCU implementation.",
    "PM: hibernation: Basic memory bitmaps freed",
]
WARNING = """\
[   10.{n}00001] ------------[ cut here ]------------
[   10.{n}00002] refcount_t: underflow; use-after-free.
[   10.{n}00003] WARNING: CPU: {n} PID: 12{n} at lib/refcount.c:28 refcount_warn_saturate+0xd{n}/0xe0
[   10.{n}00004] RIP: 0010:refcount_warn_saturate+0xd{n}/0xe0
[   10.{n}00005] Call Trace:
[   10.{n}00006]  <TASK>
[   10.{n}00007]  ? __warn+0x7d/0xc0
[   10.{n}00008]  nf_ct_put.isra.{n}+0x{n}d/0xc0 [nf_conntrack]
[   10.{n}00009]  {caller}+0x{n}d/0xc0
[   10.{n}00010] ---[ end trace 000000000000000{n} ]---
[   10.{n}00011] eth0: link becomes ready
"""


@pytest.mark.parametrize(("line", "kind"), FORMS)
@pytest.mark.parametrize("stamp", ["", "[   12.345678] ", "[   12.345678][    T1] ", "<4>[   12.345678] "])
def test_every_form_of_a_splat_is_found_under_every_stamp(line: str, kind: Kind, stamp: str) -> None:
    (found,) = find_splats(f"{stamp}booting\n{stamp}{line}\n{stamp}nothing\n")
    assert found.splat.kind is kind
    assert found.text.splitlines()[0] == f"{stamp}{line}"


@pytest.mark.parametrize("line", HARMLESS)
def test_lines_that_only_resemble_a_splat_are_none(line: str) -> None:
    assert find_splats(f"[    1.000000] {line}\n") == ()


def test_equal_causes_have_equal_fingerprints_whatever_cpu_pid_time_and_offset() -> None:
    log = WARNING.format(n=1, caller="nf_ct_free") + WARNING.format(n=2, caller="nf_ct_free")
    (found,) = find_splats(log)
    assert found.splat.fingerprint == "WARNING: refcount_warn_saturate < nf_ct_put < nf_ct_free"


def test_another_call_trace_is_another_fingerprint() -> None:
    log = WARNING.format(n=1, caller="nf_ct_free") + WARNING.format(n=2, caller="nf_ct_delete")
    assert len(find_splats(log)) == 2


def test_a_title_holds_the_message_of_the_check_and_nothing_that_differs_from_boot_to_boot() -> None:
    (found,) = find_splats(WARNING.format(n=1, caller="nf_ct_free"))
    assert (
        found.splat.title
        == "WARNING: lib/refcount.c refcount_warn_saturate: refcount_t: underflow; use-after-free."
    )
    assert found.text.startswith("[   10.100002] refcount_t: underflow")
    assert found.text.endswith("---[ end trace 0000000000000001 ]---")


def test_a_panic_that_follows_an_oops_is_part_of_it() -> None:
    log = (
        "BUG: kernel NULL pointer dereference, address: 0\nOops: 0002 [#1] SMP\nRIP: 0010:nf_ct_put+0x1/0x2\n"
        "---[ end trace 0000000000000000 ]---\nKernel panic - not syncing: Fatal exception\n"
    )
    (found,) = find_splats(log)
    assert found.splat.kind is Kind.OOPS
    assert found.splat.title == "BUG: kernel NULL pointer dereference, address: 0 in nf_ct_put"
    assert "Fatal exception" in found.text


def test_a_panic_because_of_a_warning_is_the_warning_and_fatal() -> None:
    log = WARNING.format(n=1, caller="nf_ct_free")
    (found,) = find_splats(log + "Kernel panic - not syncing: kernel: panic_on_warn set ...\n")
    assert found.splat.kind is Kind.WARNING
    assert found.splat.fatal


def test_a_warning_alone_is_not_fatal() -> None:
    assert not find_splats(WARNING.format(n=1, caller="nf_ct_free"))[0].splat.fatal


def test_the_victim_names_a_lack_of_memory_whoever_asked_for_memory() -> None:
    for asked in ("python3", "kworker/u2:1"):
        (found,) = find_splats(
            f"{asked} invoked oom-killer: gfp_mask=0x1(GFP), order=0\n x+0x1/0x2\nMem-Info:\n"
            "Out of memory: Killed process 7 (python3) total-vm:1kB\n"
        )
        assert found.splat.fingerprint == "Out of memory: Killed process (python3)"
        assert found.text.endswith("total-vm:1kB")


def test_a_splat_in_the_console_and_in_dmesg_is_one() -> None:
    log = WARNING.format(n=1, caller="nf_ct_free")
    more = "BUG: Bad page state in process python3\n"
    both = merged(find_splats(log), find_splats(more + log))
    assert [found.splat.kind for found in both] == [Kind.WARNING, Kind.BUG]


LINES = [line for line, _ in FORMS] + HARMLESS + WARNING.format(n=1, caller="nf_ct_free").splitlines()
LINES += ["------------[ cut here ]------------", "=" * 40, "stack backtrace:", " a+0x1/0x2", "\x00\x1b[3m"]


@given(st.one_of(st.text(max_size=3000), st.lists(st.sampled_from(LINES), max_size=300).map("\n".join)))
def test_no_log_raises_or_has_an_unbounded_result(log: str) -> None:
    found = find_splats(log)
    assert len(found) <= MOST_SPLATS
    assert len({one.splat.fingerprint for one in found}) == len(found)
    for one in found:
        assert one.splat.title
        assert len(one.splat.title) <= 250
        assert len(one.splat.fingerprint) <= 1000
        assert len(one.text) <= MOST_CHARACTERS + 50  # and how much was cut


@given(st.binary(max_size=2000))
def test_no_bytes_on_a_console_raise(console: bytes) -> None:
    find_splats(console.decode(errors="replace"))


@pytest.mark.parametrize(
    "line", ["WARNING:" + " " * 390, "a" * 400, "a-" * 200, "[ " * 200, "x invoked " * 40]
)
def test_the_time_is_linear_in_the_size_of_the_log(line: str) -> None:
    def seconds(lines: int) -> float:
        log = f"{line}\n" * lines
        began = time.process_time()
        find_splats(log)
        return time.process_time() - began

    seconds(100)
    # Ten times the log; quadratic time would be a hundred times as long.
    assert seconds(5000) < 40 * max(seconds(500), 0.002)


# Consoles of real kernels: Debian's 6.12, and a 6.1 that was built with KASAN, lockdep and LKDTM
# (Documentation/fault-injection/provoke-crashes.rst), which was made to crash, hang and warn.
RECORDED = {
    "6.12-panic": [
        "panic: sysrq_handle_crash < __handle_sysrq < write_sysrq_trigger",
    ],
    "6.1-bug": ["BUG: lkdtm_BUG < direct_entry < full_proxy_write"],
    "6.1-hung": ["hung task: direct_entry < full_proxy_write < vfs_write"],
    "6.1-kasan": ["KASAN: lkdtm_WRITE_AFTER_FREE < direct_entry < full_proxy_write"],
    "6.1-oops": [
        "KASAN: lkdtm_EXCEPTION < direct_entry < full_proxy_write",
        "oops: lkdtm_EXCEPTION < direct_entry < full_proxy_write",
    ],
    "6.1-softlockup": ["lockup: lkdtm_SOFTLOCKUP < direct_entry < full_proxy_write"],
    "6.1-spinlock": [
        "WARNING: lock held when returning to user space!",
        "BUG: __fput < task_work_run < exit_to_user_mode_prepare",
        "BUG: exit_to_user_mode_prepare < syscall_exit_to_user_mode < do_syscall_64",
        "lockup: direct_entry < full_proxy_write < vfs_write",
        "RCU stall: kthread < direct_entry < full_proxy_write",
    ],
    "6.1-warning": ["WARNING: lkdtm_WARNING_MESSAGE < direct_entry < full_proxy_write"],
}
FATAL = {"6.12-panic", "6.1-bug", "6.1-oops"}


@pytest.mark.parametrize("name", RECORDED)
def test_the_splats_of_real_kernels_are_found(name: str) -> None:
    found = find_splats((FIXTURES / f"{name}.txt").read_text())
    assert [one.splat.fingerprint for one in found] == RECORDED[name]
    assert found[-1].splat.fatal == (name in FATAL)
    assert all("+0x" not in one.splat.title for one in found)


def test_the_victim_is_named_after_a_list_of_a_thousand_processes() -> None:
    processes = "[    7]     0     7   100\n" * 1000
    log = f"a invoked oom-killer: gfp_mask=0x1\n{processes}Out of memory: Killed process 7 (b) total-vm:1kB\n"
    (found,) = find_splats(log)
    assert found.splat.title == "Out of memory: Killed process (b)"
