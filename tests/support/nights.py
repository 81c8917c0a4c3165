"""Manifests of nights, and records of one cell in them."""

from __future__ import annotations

from matrix.results.manifest import KernelEntry, Manifest
from matrix.results.record import FactValue, Record, Status
from tests.support.fakes import SURROUNDINGS


def manifest(day: int, *names: str) -> Manifest:
    kernels = tuple(
        KernelEntry(name, f"debian:{name}", "6.1", name, "cloud", f"{name}-1", "sid") for name in names
    )
    return Manifest(
        f"night-{day:02}",
        "plan",
        f"2026-11-{day:02}T02:00:00+00:00",
        (),
        1,
        (),
        kernels,
        SURROUNDINGS,
        f"2026-11-{day:02}T03:00:00+00:00",
    )


def cell(kernel: str, status: Status = Status.PASS, **facts: FactValue) -> Record:
    return Record(kernel, "table-full", {}, status, dict(facts))


KEY = ("debian:6.1.5", "table-full", "")
