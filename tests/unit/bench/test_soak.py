"""A soak asks in orders by chance, and counts what was not as published."""

from __future__ import annotations

import pytest

from bench.soak import Watching, shuffled, summary
from matrix.plan.plan import make_plan
from matrix.results.record import Asked, Leak, Record, Status
from tests.support.fakes import make_experiment, make_kernel

CELLS = make_plan([make_kernel("6.1.2")], [make_experiment(f"e{number}") for number in range(30)]).cells


def test_each_round_has_an_order_of_its_own_and_has_it_again() -> None:
    def order(seed: int) -> list[str]:
        return [cell.experiment.name for cell in sorted(CELLS, key=shuffled(seed)(CELLS, lambda _cell: None))]

    assert order(1) != order(2)
    assert order(1) == order(1)
    assert sorted(order(1)) == sorted(cell.experiment.name for cell in CELLS)


def test_what_is_not_as_published_is_counted_and_named() -> None:
    def record(name: str, flows: int, **more: object) -> Record:
        return Record("6.1.2", name, {}, Status.PASS, {"flows": flows}, **more)  # type: ignore[arg-type]

    published = {("k", name, ""): record(name, 10) for name in ("same", "other", "leaky")}
    asked = [
        record("same", 10),
        record("other", 7, attempts=2),
        record("leaky", 10, attempts=3, leak=Leak("same", "pass: 9"), asked=Asked("g", 2, "same", ("rule",))),
        Record("6.1.2", "lost", {}, Status.ERROR),
    ]
    found = {figure.key: figure for figure in summary([("k", one) for one in asked], published)}
    assert {key: figure.value for key, figure in found.items()} == {
        "cells": 4,
        "shared": 1,
        "errors": 1,
        "unstable": 0,
        "differing": 1,
        "again": 2,
        "leaks": 1,
        "leaving": 1,
    }
    assert found["cells"].shares == {"pass": 3, "error": 1}
    assert found["differing"].meaning.endswith(": other [] on 6.1.2")


def test_memory_and_processor_time_are_looked_at_every_hundred_cells() -> None:
    seen = Watching()
    for _ in range(250):
        seen.finished(Record("6.1.2", "e", {}, Status.PASS))
    assert len(seen.seconds) == len(seen.own) == len(seen.guest) == 2
    assert seen.own[0] > 10 << 20
    assert seen.seconds == pytest.approx(sorted(seen.seconds))
