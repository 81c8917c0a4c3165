"""One run with everything in it that a report must show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from matrix.analysis.analysis import Analysis, analyse
from matrix.analysis.ledger.model import Ledger
from matrix.analysis.table import Table, make_table
from matrix.plan.plan import make_plan
from matrix.results.manifest import Manifest, kernel_entries
from matrix.results.record import FactValue, Record, Status
from tests.support.fakes import SURROUNDINGS, make_experiment, make_kernel
from vms.boot import Boot
from vms.splats import Kind, Splat

HOSTILE = "\x1b[31mred\x1b[0m <script>alert(1)</script> | `code` \u202eright to left " + "x" * 100_000
WARNING = Splat(Kind.WARNING, f"WARNING: net/x.c nf_x {HOSTILE}", "WARNING: nf_x < nf_y")
PANIC = Splat(Kind.PANIC, "Kernel panic - not syncing: Fatal exception", "panic: x", True)
EMPTY = Ledger({}, (), {})
KERNELS = ("6.12.9", "5.10.251", "6.12.10", "7.3~rc7")
CATALOGUE = {
    name: make_experiment(name)
    for name in (
        "baseline",
        "table-full",
        "inwindow-rst",
        "iptables-legacy",
        "race",
        "nfqueue-clash",
        "hostile",
    )
}


def seed(flows: int, mangle: int) -> dict[str, FactValue]:
    return {
        "packets": 10,
        "flows": flows,
        "flow_states": {"SYN_SENT": flows},
        "raw_packets": 10,
        "mangle_packets": mangle,
    }


def records() -> list[Record]:
    found = []
    for kernel in KERNELS:
        for frontend in ("legacy", "nft"):
            found.append(
                Record(kernel, "baseline", {"frontend": frontend}, Status.PASS, seed(10, 10), seconds=1.0)
            )
            new = kernel == "7.3~rc7"
            full = seed(8, 7) if new and frontend == "nft" else seed(7, 7)
            status = Status.FAIL if new and frontend == "nft" else Status.PASS
            reason = "does not hold: at most 7 flows" if status is Status.FAIL else ""
            found.append(
                Record(kernel, "table-full", {"frontend": frontend}, status, full, reason, seconds=1.0)
            )
        old = kernel in ("5.10.251", "6.12.10")
        found.append(
            Record(
                kernel,
                "inwindow-rst",
                {},
                Status.PASS,
                {"state": "CLOSE" if old else "ESTABLISHED", "invalid": not old},
                seconds=1.0,
            )
        )
    found.append(
        Record(
            "6.12.9",
            "iptables-legacy",
            {},
            Status.UNSUPPORTED,
            reason="modprobe: FATAL: Module ip_tables not found",
        )
    )
    found.append(Record("5.10.251", "iptables-legacy", {}, Status.PASS, {"tables": ["raw", "mangle"]}))
    found.append(Record("5.10.251", "race", {}, Status.UNSTABLE, {"resolved": 1}, "repeats disagreed"))
    found.append(Record("6.12.9", "race", {}, Status.ERROR, reason="no answer within 50 s"))
    found.append(
        Record(
            "6.12.10",
            "race",
            {},
            Status.CRASH,
            reason="Kernel panic - not syncing: Fatal exception",
            splats=(WARNING, PANIC),
        )
    )
    found.append(Record("7.3~rc7", "race", {}, Status.TIMEOUT, reason="not done after 30 s"))
    found.append(Record("7.3~rc7", "hostile", {}, Status.FAIL, {"words": HOSTILE}, HOSTILE))
    return found


def manifest() -> Manifest:
    plan = make_plan([make_kernel(name) for name in KERNELS], list(CATALOGUE.values()))
    boots = {"6.12.10": Boot(1 << 9, (WARNING,))}
    kernels = (replace(entry, boot=boots.get(entry.name, Boot())) for entry in kernel_entries(plan))
    return Manifest(
        "20260101-000000",
        "00",
        "2026-01-01T00:00:00+00:00",
        ("matrix",),
        2,
        tuple(CATALOGUE),
        tuple(kernels),
        SURROUNDINGS,
        "x",
    )


def table() -> Table:
    return make_table(manifest(), records(), CATALOGUE)


def analysis(ledger: Ledger = EMPTY, **changed: Any) -> Analysis:
    """The run, its manifest with what `changed` names."""
    return analyse(replace(manifest(), **changed), records(), CATALOGUE, ledger)
