"""A year of nightly runs in the history: how long a question takes.

365 runs of 4,000 cells (100 kernels x 10 experiments x 4 variants, 8 facts each). Kernels answer
like kernels do: mostly the same every night, a build differs from the one before it in some facts,
and in one night of ten some kernel's cells end in `error` or answer something new for good.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from bench.figure import Figure
from matrix.history.database import database_url, open_database
from matrix.history.query import fact_names, timeline
from matrix.history.record import record
from matrix.results.manifest import KernelEntry, Manifest, Surroundings
from matrix.results.record import FactValue, Record, Status
from vms.deadline import Deadline

NIGHTS, KERNELS, EXPERIMENTS, VARIANTS, FACTS = 365, 100, 10, 4, 8
_REPEATS = 5
_SECONDS = 3600


def measure() -> list[Figure]:
    """Records the year into a SQLite file of its own and asks it."""
    with tempfile.TemporaryDirectory(prefix="history-") as directory:
        path = Path(directory)
        with open_database(database_url("", path), Deadline(_SECONDS, "measuring")) as engine:
            started = time.perf_counter()
            fill(engine)
            filling = time.perf_counter() - started
            one = seconds(lambda: timeline(engine, "experiment-3.fact_3"))
            all_of_them = seconds(lambda: timeline(engine, "fact_3"))
            names = seconds(lambda: fact_names(engine))
        size = sum(file.stat().st_size for file in path.iterdir())
    return [
        Figure(
            "fact_seconds",
            one,
            "s",
            "one fact of one experiment across the year (400 cells)",
            goal="under 1 s",
        ),
        Figure(
            "widest_seconds",
            all_of_them,
            "s",
            "a fact that every experiment has (all 4,000 cells)",
            goal="under 1 s",
        ),
        Figure("names_seconds", names, "s", "the names of all facts"),
        Figure("record_seconds", filling / NIGHTS, "s", "recording one run of 4,000 cells"),
        Figure(
            "megabytes",
            size / 1e6,
            "MB",
            "the database file after a year of 1.46 million cells with 11.7 million facts",
        ),
    ]


def seconds(ask: Callable[[], object]) -> float:
    """The median of several askings, the first of which was not counted."""
    ask()
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        ask()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def fill(engine: Engine) -> None:
    """Records the year."""
    for manifest, records in year():
        record(engine, "bench", manifest, records)


def year() -> Iterator[tuple[Manifest, list[Record]]]:
    """The runs, night by night; the same in every call."""
    dice = random.Random(365)
    kernels = tuple(_kernel(number) for number in range(KERNELS))
    answers = {kernel.name: _answers(kernel.name, number) for number, kernel in enumerate(kernels)}
    first = datetime(2026, 1, 1, 2, tzinfo=UTC)
    surroundings = Surroundings("image", "agent", "7.2", "tcg", "", "")
    for night in range(NIGHTS):
        tonight = dict(answers)
        if night % 10 == 5:
            name = dice.choice(kernels).name
            lost = set(dice.sample(range(len(answers[name])), 5))
            broken = [
                (
                    Record(one.kernel, one.experiment, one.variant, Status.ERROR, reason="lost")
                    if at in lost
                    else one
                )
                for at, one in enumerate(answers[name])
            ]
            tonight[name] = broken
        elif night % 10 == 0:
            name = dice.choice(kernels).name
            answers[name] = tonight[name] = _answers(name, night + KERNELS)
        started = (first + timedelta(days=night)).isoformat()
        manifest = Manifest(f"night-{night:03}", "plan", started, (), 1, (), kernels, surroundings)
        yield manifest, [one for records in tonight.values() for one in records]


def _kernel(number: int) -> KernelEntry:
    series = f"6.{number // 10}"
    release = f"{series}.{number % 10}"
    return KernelEntry(release, f"debian:{release}", series, release, "cloud", f"{release}-1", "sid")


def _answers(kernel: str, generation: int) -> list[Record]:
    return [
        Record(
            kernel,
            f"experiment-{experiment}",
            {"variant": str(variant)},
            Status.PASS,
            _facts(generation // 7, experiment, variant),
            seconds=0.5,
        )
        for experiment in range(EXPERIMENTS)
        for variant in range(VARIANTS)
    ]


def _facts(generation: int, experiment: int, variant: int) -> dict[str, FactValue]:
    return {f"fact_{number}": generation * (number + 1) + experiment + variant for number in range(FACTS)}
