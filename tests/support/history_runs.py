"""Runs of one experiment on consecutive days, and how their history reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from matrix.history.database import open_database
from matrix.history.query import Line
from matrix.results.manifest import KernelEntry, Manifest, Surroundings
from matrix.results.record import FactValue, Record, Status
from vms.deadline import Deadline


@contextmanager
def opened(url: URL, *, recreate: bool = False) -> Iterator[Engine]:
    """The database, for as long as any test may take."""
    with open_database(url, Deadline(300, "the test"), recreate=recreate) as engine:
        yield engine


SURROUNDINGS = Surroundings("image", "agent", "7.2", "tcg", "no KVM", "a CPU")


def manifest(day: int, *releases: str, build: str = "1") -> Manifest:
    kernels = tuple(
        KernelEntry(
            release,
            f"debian:{release}={build}",
            release.rpartition(".")[0],
            release,
            "cloud",
            f"{release}-{build}",
            "sid",
        )
        for release in releases
    )
    return Manifest(
        f"night-{day:02}",
        "plan",
        f"2026-11-{day:02}T02:00:00+00:00",
        (),
        1,
        ("table-full",),
        kernels,
        SURROUNDINGS,
    )


def cell(
    kernel: str, status: Status = Status.PASS, reason: str = "", variant: str = "root", **facts: FactValue
) -> Record:
    return Record(kernel, "table-full", {"scope": variant}, status, dict(facts), reason)


def shown(
    lines: tuple[Line, ...],
) -> list[tuple[str, str, list[tuple[str, FactValue | None, int, int, int]]]]:
    return [
        (
            line.kernel,
            line.variant,
            [(span.status, span.value, span.first.day, span.last.day, span.runs) for span in line.spans],
        )
        for line in lines
    ]
