from __future__ import annotations

from vms.boot import Boot
from vms.splats import MOST_SPLATS, Kind, Splat

WARNING = Splat(Kind.WARNING, "WARNING: at lib/refcount.c", "WARNING: refcount_warn_saturate")


def test_a_kernel_without_reports_has_no_line() -> None:
    assert Boot().lines == ()


def test_each_taint_has_its_letter_and_meaning_and_each_splat_its_line() -> None:
    assert Boot(1 << 9 | 1 << 12, (WARNING,)).lines == (
        "tainted WO: the kernel warned; an out-of-tree module was loaded",
        "WARNING: at lib/refcount.c",
    )


def test_two_boots_report_what_either_did_once() -> None:
    assert Boot(1, (WARNING,)) | Boot(4, (WARNING,)) == Boot(5, (WARNING,))


def test_what_a_guest_or_a_file_says_is_bounded() -> None:
    boot = Boot(-1 << 70 | 1, tuple(Splat(Kind.BUG, str(n), str(n)) for n in range(99)))
    assert boot.lines[0] == "tainted P: a proprietary module was loaded"
    assert len(boot.splats) == MOST_SPLATS
